"""Keeps the hosts' bars and notes off the screen while something is read, and puts their settings back."""

from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def no_progress_bar() -> Iterator[None]:
    """Reading a model takes a second; the host's bar would break the line of our own progress."""
    from transformers.utils import logging

    was_on = logging.is_progress_bar_enabled()
    logging.disable_progress_bar()
    try:
        yield
    finally:
        if was_on:
            logging.enable_progress_bar()


@contextmanager
def no_data_bars() -> Iterator[None]:
    """The bars of `datasets`, which it shows for files of ten lines as well."""
    import datasets

    was_off = datasets.are_progress_bars_disabled()
    datasets.disable_progress_bars()
    try:
        yield
    finally:
        if not was_off:
            datasets.enable_progress_bars()


@contextmanager
def quiet_hub() -> Iterator[None]:
    """The hub's notes on each try to reach it; the error that follows the last one says it all."""
    from huggingface_hub.utils import logging

    verbosity = logging.get_verbosity()
    logging.set_verbosity_error()
    try:
        yield
    finally:
        logging.set_verbosity(verbosity)
