"""What every family asks of its sizes."""

from regard.errors import ConfigError


def check_sizes(config: object, *names: str) -> None:
    """Refuse sizes of which nothing can be made.

    Raises:
        ConfigError: one of them is below 1.
    """
    for name in names:
        if getattr(config, name) < 1:
            raise ConfigError(f"{name} must be at least 1, got {getattr(config, name)}")


def check_dropouts(config: object, *names: str) -> None:
    """Refuse what is no probability of dropping something and keeping something.

    Raises:
        ConfigError: one of them is below 0, 1, above, or no number.
    """
    for name in names:
        if not 0 <= getattr(config, name) < 1:
            raise ConfigError(f"{name} must be at least 0 and below 1, got {getattr(config, name)}")


def check_heads(hidden_size: int, num_heads: int) -> None:
    """Refuse a width that cannot be shared out among the heads.

    Raises:
        ConfigError: it is no multiple of their number.
    """
    if hidden_size % num_heads:
        raise ConfigError(f"hidden_size ({hidden_size}) must be a multiple of num_heads ({num_heads})")
