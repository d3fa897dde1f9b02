//! How a command of this program went.

/// What a subcommand gives back: nothing, or a message for the person who called it.
pub(crate) type Outcome<T = ()> = Result<T, Box<dyn std::error::Error>>;
