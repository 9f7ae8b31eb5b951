"""When an episode starts, continues and ends, in seconds of media time; with exceptions for single verbs and interactions."""

from typing import Annotated, Any

from pydantic import Field, model_validator
from typing_extensions import Self

from edge_hoi.config_types import Section

Threshold = Annotated[float, Field(gt=0, le=1)]
Seconds = Annotated[float, Field(ge=0, le=86_400)]
Share = Annotated[float, Field(ge=0, le=1)]
PositiveSeconds = Annotated[float, Field(gt=0, le=86_400)]


class VerbSettings(Section):
    """Exceptions from `EpisodeSettings` for one verb or interaction, under the same names; None where there is none."""

    enabled: bool | None = None
    enter: Threshold | None = None
    leave: Threshold | None = None
    smoothing_seconds: PositiveSeconds | None = None
    missed_weight: Share | None = None
    min_duration_seconds: Seconds | None = None
    patience_seconds: Seconds | None = None
    cooldown_seconds: Seconds | None = None
    update_interval_seconds: Seconds | None = None
    heartbeat_seconds: PositiveSeconds | None = None
    max_duration_seconds: PositiveSeconds | None = None
    one_person_per_object: bool | None = None


class EpisodeSettings(Section):
    """When an episode starts, continues and ends.

    Scores of HOICLIP's engines are half of (HOI probability + object probability squared), so a certain object alone scores 0.5. With the
    default thresholds an object without interaction starts no episode.

    Attributes:
        enabled: Whether there are episodes at all; for exceptions of verbs and interactions.
        enter: An episode starts when its smoothed score has been at least this for `min_duration_seconds`.
        leave: A score of at least this is evidence. An episode ends after `patience_seconds` without evidence, or with a smoothed score
            that is less.
        smoothing_seconds: Time constant of the exponentially weighted score.
        missed_weight: Weight in that score of a frame in which person or object was not detected, relative to one in which both were. With
            0 such frames do not count, with 1 they count as a score of 0.
        min_duration_seconds: See `enter`.
        patience_seconds: See `leave`. Shorter occlusions and changes of track do not end an episode. Longer than the time between two
            frames.
        cooldown_seconds: The same person, object and HOI category start no new episode for this long after one ended.
        update_interval_seconds: Least time between two events of an episode, except for its end.
        heartbeat_seconds: An `updated` event comes after this long even though nothing has changed; None for none. At least
            `update_interval_seconds`.
        max_duration_seconds: An episode that lasts this long ends, and a new one may start.
        one_person_per_object: While an episode is open, nobody else starts one of the same HOI category with the same object; one that was
            blocked begins no sooner than that ended. For verbs that only one person at a time does with an object, such as to drink with
            it, where a passer-by must not get an event, too.
        hand_over_seconds: An episode that begins within this long of the end of another person's with the same object refers to it, and
            that to this one; 0 for no such references. Of all interactions together.
        score_tolerance: An `updated` event needs a smoothed score that changed by more than this,
        box_tolerance: or a box with an edge that moved by more than this share of the frame.
        max_speed: Highest speed of a person or object while unseen, in sizes of its box per second.
        max_appearance_difference: People whose appearance differs by more, in units of CIE L*a*b*, are different people.
        verbs: Exceptions by the verb's name in the vocabulary.
        interactions: Exceptions by verb and object, such as `ride bicycle`; they precede those of the verb.
        exclusive_groups: Groups of mutually exclusive verbs: of one person and object only the verb with the best score has an episode.
    """

    enabled: bool = True
    enter: Threshold = 0.6
    leave: Threshold = 0.5
    smoothing_seconds: PositiveSeconds = 0.3
    missed_weight: Share = 0.1
    min_duration_seconds: Seconds = 0.5
    patience_seconds: Seconds = 1.5
    cooldown_seconds: Seconds = 0.0
    update_interval_seconds: Seconds = 2.0
    heartbeat_seconds: PositiveSeconds | None = None
    max_duration_seconds: PositiveSeconds = 3600.0
    one_person_per_object: bool = False
    hand_over_seconds: Seconds = 2.0
    score_tolerance: Share = 0.05
    box_tolerance: Share = 0.02
    max_speed: Annotated[float, Field(ge=0, le=100)] = 1.5
    max_appearance_difference: Annotated[float, Field(gt=0, le=500)] = 4.0
    verbs: dict[str, VerbSettings] = Field(default_factory=dict)
    interactions: dict[str, VerbSettings] = Field(default_factory=dict)
    exclusive_groups: tuple[tuple[str, ...], ...] = ()

    @model_validator(mode="after")
    def _check_thresholds_and_groups(self) -> Self:
        if self.leave > self.enter:
            raise ValueError(f"`leave` is at most `enter`, got {self.leave} and {self.enter}; lower `leave`")
        if self.heartbeat_seconds is not None and self.heartbeat_seconds < self.update_interval_seconds:
            raise ValueError(
                f"`heartbeat_seconds` is at least `update_interval_seconds`, got {self.heartbeat_seconds:g} and "
                f"{self.update_interval_seconds:g}; lower the latter"
            )
        grouped = [verb for group in self.exclusive_groups for verb in group]
        if len(grouped) != len(set(grouped)):
            raise ValueError("a verb is in one exclusive group at most; join the groups that share one")
        for verb in self.verbs:
            self.of_interaction(verb)
        for name in self.interactions:
            verb, _, noun = name.partition(" ")
            if not noun:
                raise ValueError(f"an interaction is a verb and an object, such as `ride bicycle`, got {name!r}")
            self.of_interaction(verb, noun)
        return self

    @property
    def lowest_leave(self) -> float:
        """The lowest score that is evidence for any interaction."""
        exceptions = (*self.verbs.values(), *self.interactions.values())
        return min([self.leave, *(each.leave for each in exceptions if each.leave is not None and each.enabled is not False)])

    def exceptions(self, verb: str, noun: str = "") -> dict[str, Any]:
        """Return what differs for a verb, or for a verb and object."""
        found = (self.verbs.get(verb), self.interactions.get(f"{verb} {noun}"))
        return {name: value for each in found if each for name, value in each.model_dump(exclude_none=True).items()}

    def of_interaction(self, verb: str, noun: str = "") -> Self:
        """Return the settings of a verb, or of a verb and object, without further exceptions.

        Raises:
            ValueError: The exceptions contradict the general settings.
        """
        exceptions = self.exceptions(verb, noun)
        return type(self).model_validate({**self.model_dump(exclude={"verbs", "interactions"}), **exceptions})


OF_TRAINED_ENGINES = EpisodeSettings(enter=0.75, leave=0.65, smoothing_seconds=0.4, min_duration_seconds=0.2)
"""Of an engine of trained weights without thresholds of its own. Chosen for scores that are half of (HOI probability + object probability
squared) on 12 rendered videos, where they have an F1 of 0.929, and the embedded engine's own of 0.922."""
