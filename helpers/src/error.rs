//! What went wrong, in words for the person who reads them: what was expected, what was found, what to do next.

/// Everything that a file, a parameter or a shape can cause.
///
/// The text of each variant stands alone, its cause included, because the kernel shows nothing else.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// libtorch refused an operation; the text is its first line.
    #[error("libtorch: {message}")]
    Torch {
        /// The first line of libtorch's message.
        message: String,
    },
}

/// A result whose error is [`Error`].
pub type Result<T, E = Error> = std::result::Result<T, E>;

impl From<tch::TchError> for Error {
    fn from(error: tch::TchError) -> Self {
        let text = error.to_string();
        Error::Torch { message: text.lines().next().unwrap_or_default().to_owned() }
    }
}
