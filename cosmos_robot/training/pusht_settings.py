"""How the embedded Push-T model is made: where each stage keeps what it makes, and the settings of all stages."""

from dataclasses import dataclass, field, replace
from pathlib import Path

from cosmos_robot.engine.checkpoint import CheckpointFacts, ModeSampling
from cosmos_robot.errors import InvalidInputError
from cosmos_robot.training.autoencoder import AutoencoderTraining
from cosmos_robot.training.flow_matching import FlowMatching
from cosmos_robot.training.imagined_starts import ImaginedStarts
from cosmos_robot.training.post_training import PostTraining
from cosmos_robot.training.prompt_mix import ModeShare
from cosmos_robot.training.pusht_recording import FRAME_SIZE, HELD_OUT_SEED, RecordingConfig
from cosmos_robot.training.pusht_windows import CHUNK, WindowConfig
from cosmos_robot.training.schedule import Budget, LearningRate
from cosmos_robot.training.small_checkpoint import TransformerForm

CANVAS = (FRAME_SIZE, FRAME_SIZE)


@dataclass(frozen=True)
class PushTFolders:
    """Where the stages put what they make.

    Attributes:
        root: of everything.
        further: whether the transformer and the checkpoint are those that were trained further.
    """

    root: Path = Path("outputs/pusht")
    further: bool = False

    @property
    def recordings(self) -> Path:
        """Training episodes."""
        return self.root / "recordings"

    @property
    def held_out(self) -> Path:
        """Episodes for evaluation."""
        return self.root / "held_out"

    @property
    def autoencoder(self) -> Path:
        """State, metrics and weights of the autoencoder."""
        return self.root / "autoencoder"

    @property
    def windows(self) -> Path:
        """Cached latents."""
        return self.root / "windows"

    @property
    def channel_weights(self) -> Path:
        """What each latent channel weighs."""
        return self.windows / "channel_weights.json"

    @property
    def transformer(self) -> Path:
        """State and metrics of the transformer."""
        return self.root / ("transformer_further" if self.further else "transformer")

    @property
    def decoder(self) -> Path:
        """State, metrics and weights of the polished decoder."""
        return self.root / "decoder"

    @property
    def checkpoint(self) -> Path:
        """The finished checkpoint."""
        return self.root / ("checkpoint_further" if self.further else "checkpoint")


@dataclass(frozen=True)
class PushTTraining:
    """Settings of all stages.

    Attributes:
        recordings: training episodes.
        held_out: held-out episodes.
        clip_episodes: how many training episodes the autoencoder is trained on (2.8 MB of memory each).
        autoencoder: how it is trained.
        windows: which windows are cut.
        form: of the transformer.
        transformer: how it is trained.
        decoder: how the decoder is polished.
        facts: sampling defaults of the finished checkpoint.
        dtype: of the saved weights, by torch's name.
        start: checkpoint whose autoencoder, tokenizer and transformer the training goes on from; None begins from
            nothing.
        imagined_starts: the windows that are added once there is a model, which is then trained further; None ends
            with the first training.
        further: how it is trained then.
        kept_share: of the weights that a training started with, in what a training with a start gives; see `blend`.
    """

    recordings: RecordingConfig = field(default_factory=lambda: RecordingConfig(episodes=7_000))
    held_out: RecordingConfig = field(default_factory=lambda: RecordingConfig(episodes=128, first_seed=HELD_OUT_SEED))
    clip_episodes: int = 1_200
    autoencoder: AutoencoderTraining = field(
        default_factory=lambda: AutoencoderTraining(
            budget=Budget(seconds=2_700.0), learning_rate=LearningRate(peak=2e-3, decay_from=0.4), frames_until=0.3
        )
    )
    windows: WindowConfig = field(default_factory=lambda: WindowConfig(per_episode=8, compile=True))
    form: TransformerForm = field(default_factory=lambda: TransformerForm(latent_patch_size=2))
    transformer: PostTraining = field(
        default_factory=lambda: PostTraining(
            budget=Budget(seconds=11_400.0),
            learning_rate=LearningRate(peak=1e-3, warmup_steps=150, decay_from=0.5),
            muon_rate=0.02,
            modes=(
                ModeShare("forward_dynamics", 32, told=0.25, pure_noise_share=0.85, weight=6.0),
                ModeShare("policy", 32, every=2),
                ModeShare("image2video", 32, every=8),
                ModeShare("text2video", 32, every=8),
                ModeShare("text2image", 32, every=32, weight=0.3),
                ModeShare("inverse_dynamics", 32, every=16, told=0.2, pure_noise_share=0.8),
            ),
            prompts=1,
            objective=FlowMatching(pure_noise_share=0.25),
            ema_decay=0.998,
            compile=True,
        )
    )
    decoder: AutoencoderTraining = field(
        default_factory=lambda: AutoencoderTraining(
            budget=Budget(seconds=1_800.0),
            learning_rate=LearningRate(peak=1e-3, decay_from=0.2),
            frames_until=0.0,
            frame_share=0.1,
            decoder_only=True,
        )
    )
    facts: CheckpointFacts = field(
        default_factory=lambda: CheckpointFacts(
            native_canvas=CANVAS,
            max_action_chunk_size=CHUNK,
            domain_ids=(4,),
            num_steps=4,
            guidance=1.0,
            shift=5.0,
            fps=10.0,
            by_mode={
                "forward_dynamics": ModeSampling(num_steps=1),
                "policy": ModeSampling(guidance=4.0),
                "image2video": ModeSampling(guidance=6.0),
                "text2video": ModeSampling(guidance=6.0),
                "text2image": ModeSampling(guidance=3.0, num_steps=10),
            },
        )
    )
    dtype: str = "bfloat16"
    start: Path | None = None
    imagined_starts: ImaginedStarts | None = field(default_factory=ImaginedStarts)
    further: PostTraining = field(
        default_factory=lambda: PostTraining(
            budget=Budget(seconds=4_800.0),
            learning_rate=LearningRate(peak=1e-3, warmup_steps=40, decay_from=0.3),
            muon_rate=0.01,
            modes=(
                ModeShare("forward_dynamics", 48, told=0.1, pure_noise_share=0.9, weight=6.0),
                ModeShare("policy", 32, every=2, told=0.95),
                ModeShare("image2video", 32, every=4),
                ModeShare("text2video", 32, every=4),
                ModeShare("text2image", 32, every=16, weight=0.3),
                ModeShare("inverse_dynamics", 32, every=24, told=0.2, pure_noise_share=0.5),
            ),
            prompts=8,
            objective=FlowMatching(pure_noise_share=0.25),
            ema_decay=0.995,
        )
    )
    kept_share: float = 0.25

    @property
    def hours(self) -> float:
        """Hours that the trainings take, without what is recorded and cached between them."""
        stages = (self.autoencoder, self.transformer, self.decoder, self.further)
        return sum(stage.budget.seconds or 0.0 for stage in stages) / 3_600.0

    def in_hours(self, hours: float) -> "PushTTraining":
        """The same stages with their time, and the recordings, in proportion, so that the trainings take `hours`.

        Raises:
            InvalidInputError: if `hours` is not positive.
        """
        if not hours > 0.0:
            raise InvalidInputError(f"the trainings need a positive number of hours; got {hours}.")
        share = hours / self.hours

        def shortened(budget: Budget) -> Budget:
            return replace(budget, seconds=None if budget.seconds is None else budget.seconds * share)

        # Each autoencoder batch draws from all clips; fewer episodes than the held-out ones would be learned by heart.
        episodes = max(self.held_out.episodes, round(self.recordings.episodes * share))
        return replace(
            self,
            recordings=replace(self.recordings, episodes=episodes),
            clip_episodes=min(self.clip_episodes, episodes),
            autoencoder=replace(self.autoencoder, budget=shortened(self.autoencoder.budget)),
            transformer=replace(self.transformer, budget=shortened(self.transformer.budget)),
            decoder=replace(self.decoder, budget=shortened(self.decoder.budget)),
            further=replace(self.further, budget=shortened(self.further.budget)),
        )
