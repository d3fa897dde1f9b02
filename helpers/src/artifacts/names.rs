//! What readers call the models that the notebooks train.

use crate::text::clean_text;

/// The name of a model's files, and what tables, legends and sentences call the model. `tools/template/results.py` has the
/// same table for the first screen, and a test there holds the two together.
const DISPLAY_NAMES: [(&str, &str); 4] = [
    ("baseline", "dense network"),
    ("cnn", "convolutional network"),
    ("transfer", "fine-tuned EfficientNet"),
    ("tuning", "tuned dense network"),
];

fn known(name: &str) -> Option<&'static str> {
    DISPLAY_NAMES.iter().find(|(file, _)| *file == name).map(|(_, shown)| *shown)
}

/// What a table or a legend calls the model of this name; a name of no notebook stays as it is.
pub(crate) fn display_name(name: &str) -> String {
    known(name).map_or_else(|| clean_text(name), str::to_owned)
}

/// The same within a sentence, with its article: `the dense network`.
pub(crate) fn name_in_sentence(name: &str) -> String {
    known(name).map_or_else(|| clean_text(name), |shown| format!("the {shown}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_model_of_a_notebook_has_a_name_for_readers_and_another_one_keeps_its_own() {
        assert_eq!(display_name("transfer"), "fine-tuned EfficientNet");
        assert_eq!(name_in_sentence("cnn"), "the convolutional network");
        assert_eq!(display_name("mine\n"), "mine ");
        assert_eq!(name_in_sentence("mine"), "mine");
    }
}
