// Which patches join whom, as the library's `merging` decides it: cells, cosines, ratio.

const CELLS = [2, 3, 4];
const REFERENCES = ["grid", "destination", "protected"];

/** Whether each patch is a destination, and whether it may join one. */
function patchRoles({ frames, rows, columns, cell, reference }) {
  const patches = rows * columns;
  const roles = Array.from({ length: frames * patches }, (_, token) => {
    const [leading, patch] = [token < patches, token % patches];
    const corner = Math.floor(patch / columns) % cell === 0 && (patch % columns) % cell === 0;
    const apart = leading && reference === "protected";
    const destination = !apart && (corner || (leading && reference === "destination"));
    return { destination, source: !apart && !destination };
  });
  const indices = (name) => roles.flatMap((role, token) => (role[name] ? [token] : []));
  return { destinations: indices("destination"), sources: indices("source") };
}

/** Directions of tokens; one of length zero stays zero. */
const unitsOf = (tokens) =>
  tokens.map((token) => {
    const norm = Math.sqrt(dot(token, token));
    return norm > 0 ? token.map((entry) => entry / norm) : token;
  });

function dot(left, right) {
  let total = 0;
  for (let index = 0; index < left.length; index++) total += left[index] * right[index];
  return total;
}

/** The destination of the largest cosine for every source; of equal ones the first. */
function nearestDestinations(units, { sources, destinations }) {
  return sources.map((source) => {
    let best = { source, destination: -1, similarity: -Infinity };
    for (const destination of destinations) {
      const similarity = dot(units[source], units[destination]);
      if (similarity > best.similarity) best = { source, destination, similarity };
    }
    return best;
  });
}

/**
 * The token that every patch is merged into, and how many may merge. The sources of the largest
 * cosines join, as many as the ratio asks for or as there are.
 */
export function patchGroups({ tokens, ratio, ...grid }) {
  const roles = patchRoles(grid);
  const found = nearestDestinations(unitsOf(tokens), roles);
  const count = Math.min(Math.floor(ratio * tokens.length + 1e-9), roles.sources.length);
  const joining = [...found].sort((a, b) => b.similarity - a.similarity).slice(0, count);
  const target = tokens.map((_, token) => token);
  for (const { source, destination } of joining) target[source] = destination;
  return { target, destinations: roles.destinations, mergeable: roles.sources.length };
}

/** Members of every group, in the order of the tokens that they are merged into. */
function membersOf(target) {
  const members = new Map();
  target.forEach((home, token) => {
    if (!members.has(home)) members.set(home, []);
    members.get(home).push(token);
  });
  return [...members.values()];
}
