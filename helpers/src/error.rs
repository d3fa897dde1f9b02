//! What went wrong, in words for the person who reads them: what was expected, what was found, what to do next.

use std::path::PathBuf;

use crate::text::{shown, shown_path};

/// Everything that a file, a parameter or a shape can cause.
///
/// The text of each variant stands alone, its cause included, because the kernel shows nothing else.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A file or folder could not be opened, read or written.
    #[error("cannot {action} {}: {source}; {advice}", shown_path(.path))]
    Io {
        /// What was tried: `read`, `write`.
        action: &'static str,
        /// The file or folder.
        path: PathBuf,
        /// What the operating system said.
        source: std::io::Error,
        /// What to do about it.
        advice: String,
    },
    /// A file was read and does not hold what it should.
    #[error("{}: expected {expected}, found {}; {advice}", shown_path(.path), shown(.found))]
    File {
        /// The file.
        path: PathBuf,
        /// What it should hold.
        expected: String,
        /// What it holds.
        found: String,
        /// What to do about it.
        advice: String,
    },
    /// Work that would take more memory than there is.
    #[error("not enough memory: {work} takes {needed}, and {available} are available; {advice}")]
    Memory {
        /// What the memory is for.
        work: String,
        /// How much it takes.
        needed: String,
        /// How much there is.
        available: String,
        /// What to lower.
        advice: String,
    },
    /// An argument or a setting is out of range.
    #[error("`{name}` must be {expected}, got {}; {advice}", shown(.got))]
    Parameter {
        /// The name of the argument or setting.
        name: &'static str,
        /// What values are allowed.
        expected: String,
        /// The value that was given.
        got: String,
        /// What to do about it.
        advice: String,
    },
    /// A layer does not fit what comes before it, or has a setting it cannot have.
    #[error("layer {position} ({layer}): {problem}")]
    Layer {
        /// Counted from 1, in the order of the builder's calls.
        position: usize,
        /// The layer's kind, as the builder's method is called.
        layer: &'static str,
        /// What does not fit, and what to do about it.
        problem: String,
    },
    /// The loss became infinite or not a number while training.
    #[error(
        "loss is {loss} in epoch {epoch}; try a `learning_rate` below {learning_rate}; \
         the model keeps the weights of its best epoch so far"
    )]
    Diverged {
        /// Counted from 1.
        epoch: usize,
        /// The loss that is not finite.
        loss: f64,
        /// The step size it happened at.
        learning_rate: f64,
    },
    /// The user interrupted the work; it ended between two steps.
    #[error("{work} was interrupted; {advice}")]
    Interrupted {
        /// What was going on.
        work: String,
        /// What was kept, and what to do next.
        advice: String,
    },
    /// The data has another shape than the model was built for.
    #[error("the model takes {expected}, the data has {found}; build the model for this data")]
    DataShape {
        /// What the model was built for.
        expected: String,
        /// What it was given.
        found: String,
    },
    /// libtorch refused an operation; the text is its first line.
    #[error("libtorch: {message}")]
    Torch {
        /// The first line of libtorch's message.
        message: String,
    },
    /// A bug in helpers: a state that no input can cause.
    #[error("helpers made a mistake: {message}; please report it, with the cell that was run")]
    Internal {
        /// What happened.
        message: String,
    },
    /// A file that another notebook makes is missing.
    #[error("cannot read {}: {source}; {made_by} makes it", shown_path(.path))]
    MissingArtifact {
        /// The file.
        path: PathBuf,
        /// Which notebook to run.
        made_by: String,
        /// What the operating system said.
        source: std::io::Error,
    },
    /// The numbers of labels and predictions differ.
    #[error("{labels} labels, {predictions} predictions; predict and score the same images")]
    PredictionCount {
        /// How many labels there are.
        labels: usize,
        /// How many predictions there are.
        predictions: usize,
    },
    /// A score was asked for, but there is no image.
    #[error("no image to score; a part of the split is empty: use more images or a larger part")]
    NothingToScore,
    /// A class id outside the known classes.
    #[error("image {image} has class {class}, expected 0 to {}; labels and predictions must be ids of the {classes} classes", .classes.saturating_sub(1))]
    ClassOutOfRange {
        /// Index of the id, from 0.
        image: usize,
        /// The id.
        class: i64,
        /// How many classes there are.
        classes: usize,
    },
    /// A picture that cannot be drawn.
    #[error("cannot draw: {message}")]
    Drawing {
        /// What is wrong, and what to do.
        message: String,
    },
    /// The program that runs trials of a search cannot be used.
    #[error("cannot run trials with {}: {}; `cargo xtask setup` builds it", shown_path(.path), shown(.problem))]
    TrialProgram {
        /// The program.
        path: PathBuf,
        /// What is wrong with it.
        problem: String,
    },
    /// What runs the trials of a search cannot run any more of them.
    #[error("no more trials can run: {}; run the search again: {finished} of {trials} are finished", shown(.problem))]
    NoMoreTrials {
        /// Why not.
        problem: String,
        /// How many have a result.
        finished: usize,
        /// How many there are in this round.
        trials: usize,
    },
    /// Trials of a search failed, and the search cannot go on without them.
    #[error("{failed} of {trials} trials failed; the first, {trial}: {message}")]
    Trials {
        /// How many failed.
        failed: usize,
        /// How many there are.
        trials: usize,
        /// Which one failed first.
        trial: String,
        /// Its error message.
        message: String,
    },
    /// A row that does not hold probabilities.
    #[error(
        "image {image} has {found}, expected probabilities that add up to 1; take them from `predict`, and if those are no numbers, train with a smaller `learning_rate`"
    )]
    Probabilities {
        /// Index of the image, from 0.
        image: usize,
        /// What its row holds.
        found: String,
    },
}

/// A result whose error is [`Error`].
pub type Result<T, E = Error> = std::result::Result<T, E>;

impl Error {
    /// An [`Error::Parameter`], its values written as they print.
    pub(crate) fn parameter(
        name: &'static str,
        expected: impl ToString,
        got: impl ToString,
        advice: impl ToString,
    ) -> Error {
        let (expected, got, advice) = (expected.to_string(), got.to_string(), advice.to_string());
        Error::Parameter { name, expected, got, advice }
    }

    /// An [`Error::Drawing`]: what is wrong with the picture, and what to do.
    pub(crate) fn drawing(message: impl Into<String>) -> Error {
        Error::Drawing { message: message.into() }
    }

    /// An [`Error::Internal`]: for what no file, parameter or lack of memory can cause.
    pub(crate) fn internal(problem: impl ToString) -> Error {
        Error::Internal { message: problem.to_string() }
    }
}

impl From<tch::TchError> for Error {
    fn from(error: tch::TchError) -> Self {
        let text = error.to_string();
        Error::Torch { message: text.lines().next().unwrap_or_default().to_owned() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_file_holds_stays_on_the_line_of_its_message() {
        let error = Error::File {
            path: PathBuf::from("a\u{7f}b"),
            expected: "settings".to_owned(),
            found: "unknown field `x\u{7f}\nEVCXR_END_CONTENT\u{202e}`".to_owned(),
            advice: "write it again".to_owned(),
        };
        let text = error.to_string();
        assert!(!text.contains(|c: char| c.is_control() || c == '\u{202e}'), "{text:?}");
        assert!(!text.contains("EVCXR_END_CONTENT"), "{text:?}");
    }
}
