"""What can go wrong, each kind with its own class.

Every message is one line that says what was received, what is allowed and what to try.
The class name is the error's `kind` in JSON.
"""


class VideommError(Exception):
    """Base of every error that videomm raises on purpose."""

    @property
    def kind(self) -> str:
        """The class name, as `--json` prints it."""
        return type(self).__name__


class InvalidInputError(VideommError, ValueError):
    """An argument or a configuration is not of the allowed form."""


class VideoError(VideommError):
    """Something about one video file; in a batch the other files are still done."""


class VideoNotFoundError(VideoError, FileNotFoundError):
    """There is no file at the path."""


class VideoIsDirectoryError(VideoError, IsADirectoryError):
    """The path is a folder where one file was expected."""


class VideoUnreadableError(VideoError, PermissionError):
    """The file exists but may not be read, or is not an ordinary file."""


class RemoteVideoError(VideoError):
    """The input is a URL; videomm reads local files only."""


class EmptyVideoError(VideoError):
    """The file has no bytes."""


class NotAVideoError(VideoError):
    """The bytes are no container that can be read."""


class NoVideoStreamError(VideoError):
    """A readable container without a video stream, for instance audio only."""


class EncryptedVideoError(VideoError):
    """The video stream is encrypted."""


class UnsupportedCodecError(VideoError):
    """No decoder for the stream's codec or profile."""


class DamagedVideoError(VideoError):
    """A video stream is there, and not one frame of it decodes."""


class DecodeTimeoutError(VideoError, TimeoutError):
    """Decoding went past the file's deadline and was stopped."""


class DecoderCrashedError(VideoError):
    """The decoding process died in native code."""


class DecoderNotExactError(VideoError):
    """The decoder that was asked for returns wrong frames or times on this file."""


class SubtitlesUnreadableError(VideoError):
    """A file of subtitles has no timed text that can be read."""


class ModelNotAvailableError(VideommError):
    """The model's name is unknown, or its weights cannot be had here."""


class ExportError(VideommError):
    """A model cannot be written in another format, or computes something else there."""


class UploadError(VideommError):
    """The Hugging Face hub did not take a model."""


class InstallationError(VideommError):
    """Installed packages do not fit together."""
