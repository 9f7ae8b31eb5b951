"""When an episode starts, goes on and ends, in seconds of media time; with exceptions for single verbs."""

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, model_validator
from typing_extensions import Self

Level = Annotated[float, Field(gt=0, le=1)]
Seconds = Annotated[float, Field(ge=0, le=86_400)]
SomeSeconds = Annotated[float, Field(gt=0, le=86_400)]


class _Section(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class VerbSettings(_Section):
    """What differs from `EpisodeSettings` for one verb; None where nothing does. The names mean the same."""

    enter: Level | None = None
    leave: Level | None = None
    smoothing_seconds: SomeSeconds | None = None
    min_duration_seconds: Seconds | None = None
    patience_seconds: Seconds | None = None
    cooldown_seconds: Seconds | None = None
    update_interval_seconds: Seconds | None = None
    max_duration_seconds: SomeSeconds | None = None
    one_person_per_object: bool | None = None


class EpisodeSettings(_Section):
    """When an episode starts, goes on and ends.

    Scores are half of (HOI probability + object probability squared), so that a certain object alone comes to 0.5: with the default
    levels no episode lives on the object's certainty without the interaction's.

    Attributes:
        enter: An episode starts when its smoothed score has been at least this for `min_duration_seconds`.
        leave: A score of at least this is evidence; an episode ends when its smoothed score has been less for `patience_seconds`.
        smoothing_seconds: Time constant of the exponentially weighted score.
        min_duration_seconds: See `enter`.
        patience_seconds: See `leave`; occlusions and changes of track that are shorter do not end an episode, started or not. Longer than
            the time between two frames.
        cooldown_seconds: The same person, object and HOI category start no new episode for this long after one ended.
        update_interval_seconds: Least time between two events of an episode, except for its end.
        max_duration_seconds: An episode that lasts this long ends, and a new one may start.
        one_person_per_object: While an episode goes on, nobody else starts one of the same HOI category with the same object, and one that
            had to wait begins no sooner than that ended: for what only one person at a time does with a thing, such as to drink with it,
            where another who passes by must not be told of, too.
        score_tolerance: A smoothed score that moved by more than this is worth an `updated` event.
        box_tolerance: So is a box with an edge that moved by more than this share of the frame.
        max_speed: How fast a person or object may move while unseen and still be taken for the same, in its box's sizes per second.
        max_appearance_difference: People whose colours differ by more, in units of CIE L*a*b*, are not taken for the same.
        verbs: Exceptions by the verb's name in the vocabulary.
        exclusive_groups: Groups of verbs that hide each other: of one person and object only the best-scored verb of a group holds.
    """

    enter: Level = 0.6
    leave: Level = 0.5
    smoothing_seconds: SomeSeconds = 0.3
    min_duration_seconds: Seconds = 0.5
    patience_seconds: Seconds = 1.5
    cooldown_seconds: Seconds = 0.0
    update_interval_seconds: Seconds = 2.0
    max_duration_seconds: SomeSeconds = 3600.0
    one_person_per_object: bool = False
    score_tolerance: Annotated[float, Field(ge=0, le=1)] = 0.05
    box_tolerance: Annotated[float, Field(ge=0, le=1)] = 0.02
    max_speed: Annotated[float, Field(ge=0, le=100)] = 1.5
    max_appearance_difference: Annotated[float, Field(gt=0, le=500)] = 4.0
    verbs: dict[str, VerbSettings] = Field(default_factory=dict)
    exclusive_groups: tuple[tuple[str, ...], ...] = ()

    @model_validator(mode="after")
    def _check_levels_and_groups(self) -> Self:
        """Check what no single field shows, for every verb too."""
        if self.leave > self.enter:
            raise ValueError(f"`leave` is at most `enter`, got {self.leave} and {self.enter}; lower `leave`")
        grouped = [verb for group in self.exclusive_groups for verb in group]
        if len(grouped) != len(set(grouped)):
            raise ValueError("a verb is in one exclusive group at most; join the groups that share one")
        for verb in self.verbs:
            self.of_verb(verb)
        return self

    @property
    def lowest_leave(self) -> float:
        """The weakest score that is evidence of anything."""
        return min([self.leave, *(verb.leave for verb in self.verbs.values() if verb.leave is not None)])

    def of_verb(self, verb: str) -> Self:
        """Work out the settings that hold for a verb.

        Args:
            verb: Its name in the vocabulary.

        Returns:
            These settings with the verb's exceptions put in, and without `verbs`.

        Raises:
            ValueError: The exceptions and the general settings do not go together.
        """
        exceptions = self.verbs.get(verb, VerbSettings()).model_dump(exclude_none=True)
        return type(self).model_validate({**self.model_dump(), **exceptions, "verbs": {}})
