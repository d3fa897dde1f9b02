//! The reader of `y.npy`.

use std::collections::BTreeSet;

use helpers::data::labels::LabelForm;
use helpers::data::npy::Kind;
use helpers::prelude::*;

use crate::class_names::without_markers;
use crate::common::{bounded, check_message, scratch, write};
use crate::display;
use crate::npy::{array, elements, first_side, numbers, parse};

/// Takes the input as `y.npy`, beside images that fit.
pub(crate) fn run(input: &[u8]) {
    let folder = scratch();
    let images = first_side(input);
    write(&folder, "X.npy", &array("|u1", &[images, 1, 1], &vec![0; images]));
    write(&folder, "y.npy", input);
    match bounded(input.len() + images, || Dataset::load(folder.path())) {
        Err(error) => check_message(&error, "y.npy"),
        Ok(dataset) => {
            check(&dataset, input);
            display::check_html(&dataset.table().to_html());
            display::check_text(&dataset.table().to_text());
        }
    }
}

/// Ids count from 0 without a gap, and the name of each is what stands in the file.
fn check(dataset: &Dataset, input: &[u8]) {
    let header = parse(input).expect("what was read has a header");
    let (ids, names) = (dataset.labels(), dataset.class_names());
    assert_eq!(ids.len(), header.shape[0]);
    let mut counts = vec![0; names.len()];
    for &id in ids {
        counts[usize::try_from(id).expect("an id from 0")] += 1;
    }
    assert!(names.len() >= 2 && counts.iter().all(|&count| count >= 2), "{counts:?}");
    assert!(names.iter().all(|name| !name.contains(char::is_control)), "{names:?}");
    let named = ids.iter().map(|&id| names[id as usize].as_str());
    match dataset.found_labels().form {
        LabelForm::Numbers => {
            let numbers = numbers(&header, input);
            assert!(numbers.iter().all(|number| *number >= 0.0 && number.fract() == 0.0));
            let value = |name: &String| match (header.element.kind, name.as_str()) {
                (Kind::Bool, "False") => 0,
                (Kind::Bool, "True") => 1,
                (_, name) => name.parse().expect("a number"),
            };
            let values: Vec<i64> = names.iter().map(value).collect();
            assert!(values.is_sorted_by(|a, b| a < b), "{values:?}");
            assert!(ids.iter().zip(&numbers).all(|(&id, &n)| values[id as usize] as f64 == n));
        }
        LabelForm::OneHot => {
            let numbers = numbers(&header, input);
            for (row, &id) in numbers.chunks(names.len()).zip(ids) {
                let expected = (0..).map(|column| if column == id { 1.0 } else { 0.0 });
                assert!(row.iter().copied().eq(expected.take(row.len())), "{row:?} is not {id}");
            }
        }
        LabelForm::Strings => {
            let elements = elements(&header, input);
            let texts = elements.iter().map(|bytes| text(header.element.kind, bytes));
            let texts: Vec<String> = texts.collect();
            let sorted: BTreeSet<&String> = texts.iter().collect();
            let sorted = sorted.into_iter().map(|text| without_markers(text));
            assert!(names.iter().cloned().eq(sorted), "{names:?}");
            assert!(named.eq(texts.iter().map(|text| without_markers(text))));
        }
    }
}

fn text(kind: Kind, bytes: &[u8]) -> String {
    let text = if kind == Kind::Bytes {
        String::from_utf8(bytes.to_vec()).expect("text")
    } else {
        let codes = bytes.chunks(4).map(|b| u32::from_le_bytes([b[0], b[1], b[2], b[3]]));
        codes.map(|code| char::from_u32(code).expect("a character")).collect()
    };
    text.trim_end_matches('\0').to_owned()
}
