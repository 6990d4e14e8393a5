"""What MER-CLIP's augmentations change, and what they leave."""

import numpy as np
import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("torchvision")

from mepipe.models import mer_clip_augment as augment  # noqa: E402
from tests.networks.reference import golden  # noqa: E402


def still(size=32, frames=6):
    """One picture, shown several times."""
    picture = torch.from_numpy(np.random.default_rng(0).integers(0, 256, (3, size, size), dtype=np.uint8))
    return picture.expand(frames, -1, -1, -1).float()


@pytest.mark.parametrize("chances", [(1, 0, 0), (0, 1, 0), (0, 0, 1), (1, 1, 1)])
def test_what_stands_still_stands_still_afterwards(chances):
    change = augment.appearance(*chances)
    torch.manual_seed(0)
    for _ in range(20):
        (changed,) = augment.each(change, still()[None])
        assert changed.shape == still().shape
        assert changed.dtype == torch.float32
        assert (changed == changed[:1]).all()  # each frame as the first
        assert changed.min() >= 0
        assert changed.max() <= 255


def test_each_clip_is_drawn_for_by_itself_and_from_torchs_generator():
    change = augment.appearance(1, 0.5, 1)
    clips = still()[None].repeat(4, 1, 1, 1, 1)
    torch.manual_seed(3)
    changed = augment.each(change, clips)
    assert len({tuple(clip.flatten().tolist()) for clip in changed}) == 4
    torch.manual_seed(3)
    assert torch.equal(augment.each(change, clips), changed)


def test_without_any_chance_nothing_changes():
    clips = torch.stack([still(), still() // 2])
    assert torch.equal(augment.each(augment.appearance(0, 0, 0), clips), clips)


def test_mirrored_twice_a_clip_is_as_it_was():
    change, clips = augment.appearance(0, 1, 0), still()[None]
    once = augment.each(change, clips)
    assert torch.equal(once, clips.flip(-1))
    assert torch.equal(augment.each(change, once), clips)


def test_regions_cover_a_face_of_any_size_once():
    for height, width in ((224, 224), (10, 9), (48, 48)):
        count = torch.zeros(height, width)
        for name in augment.REGIONS:
            count[augment.region(name, height, width)] += 1
        assert (count == 1).all()


@pytest.mark.parametrize("name", augment.REGIONS)
def test_only_a_region_changes_and_it_by_the_same_face_in_every_frame(name):
    clip, face = torch.randn(5, 3, 12, 10), torch.randn(3, 12, 10)
    mixed = augment.blend(clip, face, name, 0.25)
    rows, columns = augment.region(name, 12, 10)
    inside = torch.zeros(12, 10, dtype=torch.bool)
    inside[rows, columns] = True
    assert torch.equal(mixed[..., ~inside], clip[..., ~inside])
    torch.testing.assert_close(mixed[..., inside], 0.25 * clip[..., inside] + 0.75 * face[..., inside])
    # so movement is there still, weaker, and none besides
    torch.testing.assert_close((mixed - mixed[:1])[..., inside], 0.25 * (clip - clip[:1])[..., inside])


def test_blending_is_the_official_codes():
    known = golden("mer_clip")
    clips, keep = torch.from_numpy(known["mix_input"]), float(known["mix_alpha"])
    for name, expected in zip(known["mix_regions"], known["mix_output"], strict=True):
        for clip, partner, mixed in zip(clips, known["mix_partner"], expected, strict=True):
            found = augment.blend(clip, clips[partner, 0], str(name).replace("_", " "), keep)
            np.testing.assert_allclose(found, mixed, atol=1e-6)  # float32


def test_faces_come_from_other_clips_as_they_were_and_as_often_as_asked():
    torch.manual_seed(0)
    # clip i shows i everywhere, so what is mixed in says whose it was
    clips = torch.arange(1.0, 9.0).view(8, 1, 1, 1, 1).expand(8, 4, 3, 8, 8).clone()
    before, changed, partners, places = clips.clone(), 0, set(), set()
    for _ in range(100):
        mixed = augment.face_mix(clips, 0.5, 0.5)
        for i, (clip, new) in enumerate(zip(before, mixed, strict=True)):
            where = (new != clip)[0, 0]
            changed += bool(where.any())
            if where.any():
                whose = {round(2 * v - (i + 1)) for v in new[:, :, where].unique().tolist()}
                assert len(whose) == 1
                assert whose.isdisjoint({i + 1})
                partners |= whose
                places.add(tuple(where.flatten().tolist()))
    assert torch.equal(clips, before)
    assert abs(changed - 400) < 60  # four standard deviations of 800 draws
    assert partners == set(range(1, 9))
    assert len(places) == 4


def test_a_clip_alone_and_no_chance_leave_clips_as_they_are():
    clip = torch.randn(1, 2, 3, 8, 8)
    assert torch.equal(augment.face_mix(clip, 1.0, 0.5), clip)
    assert torch.equal(augment.face_mix(clip.repeat(3, 1, 1, 1, 1), 0.0, 0.5), clip.repeat(3, 1, 1, 1, 1))
