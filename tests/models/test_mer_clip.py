"""MER-CLIP whole: what is trained by what, what it begins with, that it learns."""

import json

import numpy as np
import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("torchvision")
pytest.importorskip("open_clip")

from mepipe import networks  # noqa: E402
from mepipe.errors import UsageError  # noqa: E402
from mepipe.models import configs, mer_clip  # noqa: E402
from mepipe.models.configs.mer_clip import CONFIGURATIONS, MerClipConfig  # noqa: E402
from mepipe.models.mer_clip_inputs import unit_tokens  # noqa: E402
from mepipe.networks import clip  # noqa: E402
from mepipe.train import jobs  # noqa: E402
from mepipe.train.folds import How, Samples, train_fold  # noqa: E402
from mepipe.train.protocols import Fold  # noqa: E402
from tests.train import stand_in  # noqa: E402

CLASSES = ("negative", "positive", "surprise")
AUS = ("4", "6+12", "1+2")


def tiny(**changes):
    return configs.choose("mer-clip", "tiny", changes)


def made(config, seed=0):
    make = mer_clip.build(config, CLASSES, {}, 0)
    torch.manual_seed(seed)
    return make()


def batch(config, count=4, aus=AUS):
    frames = torch.randint(0, 256, (count, 16, 3, 24, 24), generator=torch.Generator().manual_seed(0)).float()
    written = {str(i): aus[i % len(aus)] for i in range(count)}
    return (frames, unit_tokens(config, written, list(written)).float()), torch.arange(count) % 3


def grads(learner):
    return {name: p.grad for name, p in learner.named_parameters() if p.grad is not None and p.grad.any()}


def test_at_first_texts_alone_count_and_later_the_head_is_trained_too():
    config = tiny()
    for progress, trained in ((0.0, False), (0.5, True)):
        learner = made(config)
        learner.objective(*batch(config), progress).backward()
        found = grads(learner)
        assert any(name.startswith("cls_head") for name in found) == trained
        assert "vision_encoder.proj" in found
        assert "vision_encoder.conv1.weight" in found


def test_the_loss_is_the_sum_of_both_with_the_weights_of_the_moment():
    from torch.nn.functional import normalize

    # without chance: nothing is changed, dropped or drawn
    config = tiny(templates=1, facemix=0, flip=0, dropout=0)
    learner = made(config).train()
    for module in learner.modules():
        if isinstance(module, torch.nn.Dropout | torch.nn.BatchNorm3d):
            module.eval()
    (frames, tokens), labels = batch(config)
    loss = learner.objective((frames, tokens), labels, 0.25)
    embedding, logits = learner.encode(mer_clip.normalised(frames))
    texts = learner.texts(tokens[:, 0])
    cosines = (normalize(embedding) @ normalize(texts).T / config.temperature).double()
    aligned = -(cosines.log_softmax(1).diag() + cosines.log_softmax(0).diag()).mean() / 2
    own = logits.softmax(1)[torch.arange(4), labels].double()
    emotion = (-((1 - own) ** 2) * own.log()).mean()
    torch.testing.assert_close(loss.double(), 1.75 * aligned + 0.25 * emotion, atol=1e-4, rtol=1e-4)


def test_a_clip_without_known_units_counts_in_the_emotion_alone():
    config = tiny(templates=1, facemix=0, flip=0, dropout=0)
    (frames, tokens), labels = batch(config, aus=("4", "?", "1+2", ""))
    learner = made(config).eval()
    seen = learner.objective((frames, tokens), labels, 0.0)
    torch.testing.assert_close(seen, learner.objective((frames[[0, 2]], tokens[[0, 2]]), labels[[0, 2]], 0.0))
    tokens.zero_()
    assert learner.objective((frames, tokens), labels, 0.0).item() == 0
    assert learner.objective((frames, tokens), labels, 0.5).item() > 0


def test_no_text_is_needed_to_recognise_an_emotion():
    config = tiny()
    learner = made(config).eval()
    (frames, tokens), _ = batch(config)
    assert torch.equal(learner(frames, tokens), learner(frames))
    assert learner(frames).shape == (4, 3)


def test_each_text_is_read_once_and_as_it_is_alone():
    encoder = clip.text_encoder("tiny", None)
    texts, read = mer_clip.Texts(encoder), []
    encoder.register_forward_hook(lambda module, given, out: read.append(given[0].shape))
    ids = clip.tokens(["raising the chin", "lowering the brows and tightening the lids", "raising the chin"])
    found = texts(ids.float())
    assert len(read) == 2
    assert torch.equal(texts(ids.flip(0)), found.flip(0))
    assert len(read) == 2
    torch.testing.assert_close(found, encoder(ids), atol=1e-5, rtol=1e-5)  # in a batch, sums in another order
    assert not found.requires_grad


def test_names_in_a_checkpoint_are_the_official_ones_and_texts_are_no_part_of_it():
    state = made(tiny()).state_dict()
    assert {name.split(".")[0] for name in state} == {"vision_encoder", "cls_head", "logit_scale"}
    assert float(state["logit_scale"].exp()) == pytest.approx(1 / CONFIGURATIONS["tiny"].temperature)


@pytest.mark.parametrize("learned", [False, True])
def test_the_temperature_is_learned_where_asked_for(learned):
    config = tiny(learn_temperature=learned)
    learner = made(config)
    learner.objective(*batch(config), 0.0).backward()
    assert ("logit_scale" in grads(learner)) == learned


@pytest.mark.parametrize("name", [n for n in CONFIGURATIONS if n.startswith(("viii", "ix"))])
def test_a_tables_row_trains_what_it_has_and_reads_what_it_needs(name):
    config = CONFIGURATIONS[name].model_copy(update={"backbone": "tiny"})
    read = {"key-frames": {str(i): np.zeros((16, 64, 64, 3), np.uint8) for i in range(3)}}
    read["aus"] = dict(zip("012", AUS, strict=True))
    inputs = mer_clip.inputs(config, read, ["0", "1", "2"])
    assert len(inputs) == 1 + (config.alignment and config.texts != "emotion")
    learner = made(config)
    frames = batch(config, 3)[0][0]
    torch.manual_seed(1)
    learner.objective((frames, *(i[torch.arange(3)].float() for i in inputs[1:])), torch.arange(3), 0.5).backward()
    found = grads(learner)
    assert ("vision_encoder.proj" in found) == config.alignment
    assert ("cls_head.blocks.0.norm.weight" in found) == (config.head == "transformer")
    assert any(key.startswith("cls_head") for key in found)


def test_what_configurations_begin_with():
    assert mer_clip.weights(MerClipConfig()) == ("uniformerv2-ssv2-16", "clip-vit-b16")
    assert mer_clip.weights(MerClipConfig(backbone="clip-vit-b16")) == ("clip-vit-b16",)
    assert mer_clip.weights(CONFIGURATIONS["published-code"]) == ("uniformerv2-ssv2-16", "viclip-text")
    assert mer_clip.weights(CONFIGURATIONS["viii-baseline"]) == ("uniformerv2-ssv2-16",)
    assert mer_clip.weights(CONFIGURATIONS["tiny"]) == ("tiny",)


def test_the_schedule_is_the_papers():
    schedule = mer_clip.schedule(CONFIGURATIONS["paper"])
    rates = [schedule.rate(epoch) for epoch in range(55)]
    assert schedule.optimiser == "adamw"
    assert rates[:5] == sorted(rates[:5])
    assert max(rates) == rates[5] == 5e-5
    assert rates[5:] == sorted(rates[5:], reverse=True)
    assert rates[-1] < 1e-7
    assert mer_clip.schedule(CONFIGURATIONS["published-code"]).lr == pytest.approx(6.25e-6)


def movements(subjects=5, clips=6):
    """Clips of faces alike but not the same, each with a movement in one of three places, and whose they are."""
    rng = np.random.default_rng(0)
    shared = stand_in._smooth(rng, 64, 2.5)
    frames, labels, who = {}, [], {}
    for s in range(subjects):
        face = shared + 0.4 * stand_in._smooth(rng, 64, 2.5)
        for c in range(clips):
            moved, _ = stand_in.clip(c % 3, face, rng)
            frames[f"s{s}_{c}"] = np.clip(255 * moved, 0, 255).astype(np.uint8)
            labels.append(c % 3)
            who[f"s{s}_{c}"] = f"s{s}"
    return frames, torch.tensor(labels), who


def test_it_learns_where_unknown_faces_move():
    frames, labels, who = movements()
    config = tiny(epochs=16, warmup=1, batch=6, flip=0)  # two of the places are mirror images
    aus = {name: AUS[label] for name, label in zip(who, labels.tolist(), strict=True)}
    inputs = mer_clip.inputs(config, {"key-frames": frames, "aus": aus}, list(who))
    samples = Samples(tuple(who), labels, inputs, tuple(who.values()))
    test = tuple(name for name, subject in who.items() if subject in ("s3", "s4"))
    fold = Fold("s3+s4", tuple(name for name in who if name not in test), test)
    how = How(mer_clip.schedule(config), 0, torch.device("cpu"))
    found = train_fold(fold, samples, mer_clip.build(config, CLASSES, {}, 0), how)
    right = np.mean(np.array(found["predicted"][-1]) == found["labels"])
    assert right > 0.7  # of 12; by chance, four times in a thousand
    assert found["losses"][-1] < 0.6 * found["losses"][0]


def write_store(root):
    """Key frames of six clips of two subjects in a store, as extract leaves them; of one no action unit is known."""
    from mepipe import store
    from mepipe.datasets.manifest import Sample
    from mepipe.store import layout
    from mepipe.store.ledger import Record

    frames, labels, who = movements(subjects=2, clips=3)
    times = {"onset": 0, "apex": 8, "offset": 15, "fps": 200}
    known = dict(zip(who, ("4", "6B+12", "", "4+7", "L12", "1+2"), strict=True))
    rows = [
        Sample(id=i, subject=s, clip=i, emotion=stand_in.EMOTIONS[y], aus=known[i], **times).model_dump()
        | {"frames": f"frames of {i}"}
        for (i, s), y in zip(who.items(), labels.tolist(), strict=True)
    ]
    opened = store.create(root)
    snapshot = layout.create_snapshot(opened.place, "demo", rows)
    dims, about = ("frame", "y", "x", "channel"), {"key": "0" * 64, "units": "1"}
    node = "key-frames-00000000"
    spec = layout.FeatureSpec(node, dims, (16, 64, 64, 3), "uint8", ("red", "green", "blue"), None, False, about)
    layout.create_feature(opened.place, snapshot, list(who), spec)
    feature = opened._at(snapshot, node)
    for sample, clip_frames in frames.items():
        feature.ledger.append([Record(sample, "done", "f", digest=feature.write(sample, clip_frames))])
    opened.set_ref("demo", "mer-clip", snapshot, {"key-frames": node})
    return known


def test_a_run_reads_what_is_annotated_and_keeps_which_texts_it_read(tmp_path):
    known = write_store(tmp_path / "store")
    request = jobs.Request("mer-clip", ("demo",), configuration="tiny", changes={"epochs": 1}, weights="random")
    job = jobs.resolve(request, tmp_path / "store")
    samples = job.samples()
    written = unit_tokens(job.parameters, known, samples.ids)
    assert torch.equal(samples.inputs[1][torch.arange(6)], written)
    assert written.any(dim=2).all(dim=1).tolist() == [bool(known[i]) for i in samples.ids]
    scores = jobs.run(job, tmp_path / "run", processes=1)
    assert 0 <= scores["UF1"] <= 1
    config = json.loads((tmp_path / "run" / "config.json").read_text())
    assert set(config["texts"]) == {"action_units", "mer_clip"}
    assert config["weights"] == "random"
    with pytest.raises(UsageError, match="random"):  # never unasked
        jobs.resolve(jobs.Request("mer-clip", ("demo",), configuration="tiny"), tmp_path / "store")


@pytest.mark.slow
def test_a_step_at_full_size_takes_the_loss_of_a_batch_down():
    config = MerClipConfig(drop_blocks=0, drop_extractors=0, dropout=0)
    learner = made(config).train()
    reference = networks.build("mer_clip_vision")
    sizes = {key: value.shape for key, value in reference.state_dict().items()}
    assert {key: value.shape for key, value in learner.vision_encoder.state_dict().items()} == sizes
    frames = torch.randint(0, 256, (2, 16, 3, 224, 224), generator=torch.Generator().manual_seed(0)).float()
    tokens = unit_tokens(config, {"a": "4", "b": "1+2"}, ["a", "b"]).float()
    optimiser = mer_clip.schedule(config).make(learner)
    losses = []
    for _ in range(10):
        torch.manual_seed(0)  # the same change of the clips and the same templates, so that losses compare
        loss = learner.objective((frames, tokens), torch.tensor([0, 2]), 0.5)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        losses.append(loss.item())
    assert np.isfinite(losses).all()
    assert losses[-1] < 0.7 * losses[0]
