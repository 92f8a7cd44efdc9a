import math

import pytest
import torch
from scipy.spatial.transform import Rotation

from attention_collapse.vggt.pose import (
    decode_pose,
    encode_pose,
    invert_rigid,
    quaternion_from_rotation,
    rotation_from_quaternion,
)
from tolerances import FLOAT32_POSE, FLOAT64, FLOAT64_NETWORK

IMAGE_SIZE = (28, 42)

# Length one, and in turn x, y, z and w the largest; the first has w = 0, the second w < 0.
QUATERNIONS = torch.tensor(
    [
        [0.8, 0.0, -0.6, 0.0],
        [-0.1, 0.7, 0.5, -0.5],
        [0.3, -0.1, 0.9, 0.3],
        [0.1, -0.5, 0.5, 0.7],
        [0.5, -0.5, 0.5, 0.5],
        [1.0, 0.0, 0.0, 1e-9],
        [0.0, 0.0, 0.0, 1.0],
    ],
    dtype=torch.float64,
)


@pytest.fixture
def cameras(generator):
    """Two scenes of three cameras with the principal point in the middle."""
    quaternions = torch.randn(2, 3, 4, dtype=torch.float64, generator=generator)
    translations = torch.randn(2, 3, 3, 1, dtype=torch.float64, generator=generator)
    focal = 20 + 30 * torch.rand(2, 3, 2, dtype=torch.float64, generator=generator)
    intrinsics = torch.diag_embed(torch.nn.functional.pad(focal, (0, 1), value=1.0))
    intrinsics[..., 0, 2], intrinsics[..., 1, 2] = IMAGE_SIZE[1] / 2, IMAGE_SIZE[0] / 2
    return torch.cat((rotation_from_quaternion(quaternions), translations), dim=-1), intrinsics


def homogeneous(transform: torch.Tensor) -> torch.Tensor:
    last = torch.tensor([0, 0, 0, 1], dtype=transform.dtype).expand(*transform.shape[:-2], 1, 4)
    return torch.cat((transform, last), dim=-2)


def close(computed: torch.Tensor, expected: torch.Tensor, tolerance: float = FLOAT64) -> None:
    torch.testing.assert_close(computed, expected, rtol=0, atol=tolerance)


def test_rotation_is_that_of_scipy():
    lengths = torch.linspace(0.1, 7, len(QUATERNIONS), dtype=torch.float64)[:, None]
    expected = torch.from_numpy(Rotation.from_quat(QUATERNIONS.numpy()).as_matrix())
    close(rotation_from_quaternion(QUATERNIONS * lengths), expected)


def test_rotation_turns_by_the_angle_of_the_quaternion():
    angle = math.radians(30)
    quaternion = torch.tensor([0, 0, math.sin(angle / 2), math.cos(angle / 2)])
    along_x = rotation_from_quaternion(quaternion.double())[:, 0]
    expected = torch.tensor([math.cos(angle), math.sin(angle), 0])
    close(along_x.float(), expected, tolerance=FLOAT32_POSE)


def test_quaternion_comes_back_with_its_scalar_not_negative():
    sign = torch.where(QUATERNIONS[:, 3:] < 0, -1.0, 1.0).double()
    close(quaternion_from_rotation(rotation_from_quaternion(QUATERNIONS)), QUATERNIONS * sign)


def test_quaternion_is_exact_to_float32_near_half_turns(generator):
    axes = torch.randn(200, 3, generator=generator)
    quaternion = torch.cat((axes / axes.norm(dim=-1, keepdim=True), torch.full((200, 1), 1e-4)), -1)
    back = quaternion_from_rotation(rotation_from_quaternion(quaternion))
    assert back.dtype == torch.float32
    close(back, quaternion / quaternion.norm(dim=-1, keepdim=True), tolerance=FLOAT32_POSE)


@pytest.mark.parametrize("length", [1e-30, 1e30])
def test_very_short_and_very_long_quaternions_are_rotations(length):
    quaternions = QUATERNIONS.float()
    close(
        rotation_from_quaternion(quaternions * length), rotation_from_quaternion(quaternions), 1e-6
    )


def test_a_zero_quaternion_is_no_rotation_and_leaves_its_neighbours_alone():
    quaternions = torch.stack((torch.zeros(4, dtype=torch.float64), QUATERNIONS[0]))
    rotations = rotation_from_quaternion(quaternions)
    assert rotations[0].isnan().all()
    assert torch.equal(rotations[1], rotation_from_quaternion(QUATERNIONS[0]))


@pytest.mark.parametrize("quaternion", QUATERNIONS)
def test_gradients_of_rotation_and_quaternion(quaternion):
    quaternion = (1.3 * quaternion).requires_grad_()
    assert torch.autograd.gradcheck(rotation_from_quaternion, quaternion)
    # Half turns are left out: there the sign of the quaternion jumps.
    if quaternion[3].abs() > 0.1:
        assert torch.autograd.gradcheck(
            lambda q: quaternion_from_rotation(rotation_from_quaternion(q)), quaternion
        )


def test_quaternion_has_a_finite_gradient_at_half_turns():
    rotation = rotation_from_quaternion(QUATERNIONS).requires_grad_()
    quaternion_from_rotation(rotation).sum().backward()
    assert rotation.grad.isfinite().all()


def test_inverse_is_that_of_the_whole_matrix(cameras):
    inverse = invert_rigid(cameras[0])
    close(homogeneous(inverse), torch.linalg.inv(homogeneous(cameras[0])), FLOAT64_NETWORK)
    close(invert_rigid(inverse), cameras[0])


def test_encoding_of_a_camera_written_out():
    quarter_turn = [[0.0, -1.0, 0.0, 5.0], [1.0, 0.0, 0.0, 6.0], [0.0, 0.0, 1.0, 7.0]]
    focal_x, focal_y = 100 / 2 / math.tan(0.3), 60 / 2 / math.tan(0.4)
    intrinsics = [[focal_x, 0.0, 50.0], [0.0, focal_y, 30.0], [0.0, 0.0, 1.0]]
    encoding = encode_pose(
        torch.tensor(quarter_turn).double(),
        torch.tensor(intrinsics, dtype=torch.float64),
        (60, 100),
    )
    expected = [5, 6, 7, 0, 0, 0.5**0.5, 0.5**0.5, 0.8, 0.6]
    close(encoding, torch.tensor(expected, dtype=torch.float64))


@pytest.mark.parametrize("index", [..., 0, (0, 1)])
def test_decoding_undoes_encoding_for_any_leading_axes(cameras, index):
    world_to_camera, intrinsics = (tensor[index] for tensor in cameras)
    encoding = encode_pose(world_to_camera, intrinsics, IMAGE_SIZE)
    assert encoding.shape == (*world_to_camera.shape[:-2], 9)
    back, intrinsics_back = decode_pose(encoding, IMAGE_SIZE)
    close(back, world_to_camera)
    close(intrinsics_back, intrinsics, FLOAT64_NETWORK)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_number_format_is_kept(cameras, dtype):
    encoding = encode_pose(*(tensor.to(dtype) for tensor in cameras), IMAGE_SIZE)
    assert {tensor.dtype for tensor in (encoding, *decode_pose(encoding, IMAGE_SIZE))} == {dtype}


def test_gradients_of_encoding_and_decoding(cameras):
    encoding = encode_pose(*(tensor[0, :1] for tensor in cameras), IMAGE_SIZE).requires_grad_()
    assert torch.autograd.gradcheck(lambda e: decode_pose(e, IMAGE_SIZE), encoding)
    assert torch.autograd.gradcheck(
        lambda e: encode_pose(*decode_pose(e, IMAGE_SIZE), IMAGE_SIZE), encoding
    )


def test_numbers_that_stand_for_no_camera(cameras):
    encoding = encode_pose(*cameras, IMAGE_SIZE)[0]
    encoding[0, 3:7], encoding[1, 7], encoding[2, 8] = 0, 0, 3.2
    world_to_camera, intrinsics = decode_pose(encoding, IMAGE_SIZE)
    assert world_to_camera[0, :, :3].isnan().all()
    assert world_to_camera[0, :, 3].isfinite().all()
    assert world_to_camera[1:].isfinite().all()
    assert intrinsics[1, 1, 1] == math.inf
    assert intrinsics[1, 0, 0] > 0
    assert intrinsics[2, 0, 0] < 0


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: rotation_from_quaternion(torch.ones(2, 3)), r"length 4, got shape \(2, 3\)"),
        (lambda: quaternion_from_rotation(torch.ones(3, 4)), r"length 3 by 3, got shape \(3, 4\)"),
        (lambda: invert_rigid(torch.eye(4)), r"3 by 4, got shape \(4, 4\); leave out the row"),
        (
            lambda: decode_pose(torch.ones(8), (2, 2)),
            r"encoding must .* length 9, got shape \(8,\)",
        ),
        (lambda: decode_pose(torch.ones(9), (0, 2)), r"\(height, width\) .*, got \(0, 2\); use im"),
        (lambda: decode_pose(torch.ones(9), (1, 2, 3)), r"\(height, width\) .*, got \(1, 2, 3\)"),
        (lambda: encode_pose(torch.eye(4)[:3], torch.ones(3), (2, 2)), r"intrinsics .* 3 by 3"),
        (
            lambda: encode_pose(torch.eye(4)[:3], torch.eye(3)[None], (2, 2)),
            r"same leading axes, got shapes \(3, 4\) and \(1, 3, 3\); expand the shorter one",
        ),
        (
            lambda: encode_pose(torch.eye(4)[:3], torch.diag(torch.tensor([1.0, -2, 1])), (2, 2)),
            "focal lengths must be positive and finite, got -2 to 1; give them in pixels",
        ),
    ],
)
def test_what_is_no_camera_is_refused(call, message):
    with pytest.raises(ValueError, match=message):
        call()


@pytest.mark.parametrize(
    "matrix",
    [torch.eye(3) * 1.01, torch.diag(torch.tensor([1.0, 1, -1])), torch.full((3, 3), math.nan)],
    ids=["scale", "reflection", "nan"],
)
def test_what_is_no_rotation_is_refused(matrix):
    message = "orthogonal with determinant 1, 1 of 2 matrices are not; take out scale, shear"
    with pytest.raises(ValueError, match=message):
        quaternion_from_rotation(torch.stack((torch.eye(3), matrix)))
