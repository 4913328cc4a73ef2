"""Controls of evasion attacks: a twin that must fall, one that cannot, and random noise."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from tinymlsec._lazy import np
from tinymlsec.analysis.intervals import Share, share_of
from tinymlsec.attacks._asking import asker, blocks
from tinymlsec.attacks._twins import LARGEST_REACH, VALUES, linear_twin, twin_inputs
from tinymlsec.attacks.evasion._verdict import TOLERATED
from tinymlsec.records import Control, Metric

if TYPE_CHECKING:
    from numpy.random import Generator
    from numpy.typing import NDArray

    from tinymlsec.context import Context
    from tinymlsec.target.space import Codes, InputSpace
    from tinymlsec.target.victim import Victim


class Size(Protocol):
    """What the controls need to know of an attack's configuration."""

    @property
    def eps_steps(self) -> int:
        """Largest change of one value in input steps."""

    @property
    def control_samples(self) -> int:
        """Inputs of each twin."""


class Break(Protocol):
    """The attack under test, as the controls run it on a twin."""

    def __call__(
        self, victim: Victim, x: Codes, labels: NDArray[np.int64], reach: int, rng: Generator
    ) -> NDArray[np.bool_]:
        """(n,) inputs that it broke with changes of at most `reach` steps a value."""


def positive_control(context: Context, size: Size, rng: Generator, attack: Break) -> Control:
    """Inputs at 5 to 20 % of the distance that the attack can move them: more than half must fall."""
    reach = min(size.eps_steps, LARGEST_REACH)
    totals = rng.integers(max(1, VALUES * reach // 20), VALUES * reach // 5, size.control_samples, endpoint=True)
    fallen = _attack_twin(context, attack, reach, totals, rng)
    return Control(
        kind="positive",
        twin=f"linear int8 model, inputs within a fifth of what {reach} steps can move",
        succeeded=fallen.low > 0.5,
        detail=f"{fallen.value:.0%} of {fallen.n} fell within the same budget (needed: interval above 50 %)",
        metrics=(_metric(fallen, "weak twin"),),
    )


def negative_control(
    context: Context, size: Size, rng: Generator, success: Share, noise: Share, attack: Break
) -> Control:
    """Inputs twice as far away as the attack can move them: none may fall. And noise must not do as well."""
    reach = min(size.eps_steps, LARGEST_REACH)
    fallen = _attack_twin(context, attack, reach, np.full(size.control_samples, 2 * VALUES * reach), rng)
    noisy = success.low > TOLERATED and noise.high >= success.low
    stood = "none" if fallen.value == 0 else f"{fallen.value:.0%}"
    return Control(
        kind="negative",
        twin=f"linear int8 model, inputs twice as far as {reach} steps can move; random noise on the attacked inputs",
        succeeded=fallen.value == 0 and not noisy,
        detail=f"{stood} of {fallen.n} twin inputs fell; random noise of the same size breaks {noise.value:.1%} "
        f"(95 % interval {noise.low:.1%} to {noise.high:.1%}) of the attacked inputs",
        metrics=(_metric(fallen, "strong twin"), _metric(noise, "random noise")),
    )


def noise_success(
    victim: Victim, x: Codes, labels: NDArray[np.int64], eps_steps: int, draws: int, rng: Generator
) -> Share:
    """Share of inputs that at least one of `draws` uniformly random changes within eps breaks."""
    ask, broken = asker(victim, labels), np.zeros(len(x), dtype=bool)
    for rows in blocks(len(x), x[:1].size):
        for _ in range(draws):
            left = rows[~broken[rows]]
            if left.size:
                broken[left] = ask(noisy_codes(victim.space, x[left], eps_steps, rng), left)[1]
    return share_of(int(broken.sum()), len(broken))


def noisy_codes(space: InputSpace, x: Codes, eps_steps: int, rng: Generator) -> Codes:
    """Inputs with uniformly random noise of at most eps_steps a value, within the bounds."""
    if not space.is_grid:
        reach = eps_steps * space.step
        return space.clip(x + rng.uniform(-reach, reach, x.shape).astype(np.float32))
    noise = rng.integers(-eps_steps, eps_steps, x.shape, dtype=np.int32, endpoint=True)
    return space.clip(x.astype(np.int32) + noise)


def _attack_twin(context: Context, attack: Break, reach: int, totals: NDArray[np.int64], rng: Generator) -> Share:
    """Attack inputs of the linear twin; both classes in equal parts."""
    victim = context.victim_of(linear_twin(reach))
    x = twin_inputs(rng, totals * np.where(np.arange(len(totals)) % 2, -1, 1))
    labels = victim.decisions(victim.scores(x))
    return share_of(int(attack(victim, x, labels, reach, rng).sum()), len(x))


def _metric(share: Share, label: str) -> Metric:
    return Metric.of("attack_success_rate", share.value, low=share.low, high=share.high, n=share.n, label=label)
