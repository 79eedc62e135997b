"""Five steps of Metaflow that do nothing, each a process of its own: `metaflow_steps.py run`."""

from metaflow import FlowSpec, step


class Five(FlowSpec):
    """The least flow of five steps."""

    @step
    def start(self) -> None:
        """Begin."""
        self.next(self.second)

    @step
    def second(self) -> None:
        """Do nothing."""
        self.next(self.third)

    @step
    def third(self) -> None:
        """Do nothing."""
        self.next(self.fourth)

    @step
    def fourth(self) -> None:
        """Do nothing."""
        self.next(self.end)

    @step
    def end(self) -> None:
        """End."""


if __name__ == "__main__":
    Five()
