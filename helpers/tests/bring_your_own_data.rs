//! Anyone's X.npy and y.npy: written by NumPy in every form the file contract allows, and broken in many ways.
//!
//! `own_data.py` makes the files, a folder for each case, and works out with NumPy what the good ones must load as.

use crate::common;

use std::collections::BTreeMap;
use std::os::unix::ffi::OsStrExt;

use helpers::data::DatasetInfo;
use helpers::data::scaling::Scaling;
use helpers::prelude::*;
use serde::Deserialize;

/// What a good case must load as.
#[derive(Deserialize)]
struct Expected {
    shape: [usize; 3],
    pixels: Vec<u8>,
    labels: Vec<i64>,
    class_names: Vec<String>,
    x_sha256: String,
    y_sha256: String,
}

/// The cases of own_data.py in a folder of their own, and what it printed.
fn cases(which: &str) -> (tempfile::TempDir, Vec<u8>) {
    let folder = tempfile::tempdir().unwrap();
    let printed = common::run_python("own_data.py", &[which.as_ref(), folder.path().as_os_str()]);
    (folder, printed)
}

#[test]
fn every_form_of_the_file_contract_loads() {
    let (folder, printed) = cases("good");
    let expected: BTreeMap<String, Expected> = serde_json::from_slice(&printed).unwrap();
    assert!(expected.len() >= 40, "own_data.py made {} cases only", expected.len());
    for (name, expected) in &expected {
        let dataset = Dataset::load(folder.path().join(name))
            .unwrap_or_else(|error| panic!("{name}: {error}"));
        let ImageShape { height, width, channels } = dataset.image_shape();
        assert_eq!([height, width, channels], expected.shape, "{name}: shape");
        assert_eq!(dataset.labels(), expected.labels, "{name}: labels");
        assert_eq!(dataset.class_names(), expected.class_names, "{name}: class names");
        let DatasetInfo { images, x_sha256, y_sha256, .. } = dataset.info().unwrap();
        assert_eq!(images, expected.labels.len(), "{name}: images");
        assert_eq!(
            [&x_sha256, &y_sha256],
            [&expected.x_sha256, &expected.y_sha256],
            "{name}: hashes"
        );
        let images: Vec<_> =
            (0..dataset.len()).map(|image| dataset.image(image).unwrap()).collect();
        let expected: Vec<&[u8]> = expected.pixels.chunks(height * width * channels).collect();
        assert_eq!(images, expected, "{name}: pixels");
    }
}

#[test]
fn a_data_set_tells_what_was_found() {
    let (folder, _) = cases("good");
    let load = |name: &str| Dataset::load(folder.path().join(name)).unwrap();

    let floats = load("fortran_float64_rgb");
    assert_eq!(format!("{floats:?}"), "Dataset: 6 images 5 × 4 × 3, 3 classes");
    let found = floats.found_images().unwrap();
    assert_eq!(
        (found.dtype.as_str(), found.fortran_order, found.scaling),
        ("float64", true, Scaling::Range { black: 0.0, white: 1.0 })
    );
    assert!(found.smallest >= 0.0 && found.largest < 1.0 && found.smallest < found.largest);

    let twelve_bits = load("twelve_bits");
    let range = Scaling::Range { black: 0.0, white: 3900.0 };
    assert_eq!(twelve_bits.found_images().unwrap().scaling, range);
    let values = |name: &str| load(name).table().to_text();
    for (name, expected) in [
        ("twelve_bits", "0 to 3900, 0 to 3900 scaled to 0 to 255"),
        ("offset_16_bit", "32800 to 32870, 32800 to 32870 scaled to 0 to 255"),
        ("whole_numbers_to_16", "0 to 16, 0 to 16 scaled to 0 to 255"),
        ("floats_to_16", "0 to 16, 0 to 16 scaled to 0 to 255"),
        ("minus_one_to_one", "-1 to 0.9, -1 to 1 scaled to 0 to 255"),
        ("bool", "0 to 1, 0 to 1 scaled to 0 to 255"),
        ("float_between", "rounded to whole numbers"),
        ("grey_uint8", "0 to 255, taken as they are"),
    ] {
        assert!(values(name).contains(expected), "{name}: {}", values(name));
    }

    let gaps = load("gaps");
    assert!(gaps.found_labels().renumbered && !load("classes").found_labels().renumbered);
    assert!(gaps.table().to_text().contains("3: 3, 7, 20"));

    let hostile = load("hostile_names").table().to_html();
    assert!(hostile.contains("&lt;script&gt;") && !hostile.contains("<script>"), "{hostile}");
}

/// For each case of own_data.py the line with its name and, indented, the one with what loading it says.
const BROKEN: &str = include_str!("own_data_errors.txt");

#[test]
fn every_broken_file_is_refused_with_what_to_do() {
    let (folder, _) = cases("bad");
    let lines: Vec<&str> = BROKEN.lines().collect();
    let mut wrong = Vec::new();
    for case in lines.chunks(2) {
        let (name, expected) = (case[0], case[1].trim_start());
        let place = format!("{}/", folder.path().join(name).display());
        let says = match Dataset::load(&place) {
            Ok(dataset) => format!("loads as {dataset:?}"),
            Err(error) => error.to_string().replace(&place, ""),
        };
        if says != expected {
            wrong.push(format!("{name}\n    {says}"));
        }
    }
    assert!(
        wrong.is_empty(),
        "{} of {} differ:\n{}",
        wrong.len(),
        lines.len() / 2,
        wrong.join("\n")
    );
    for entry in std::fs::read_dir(folder.path()).unwrap() {
        let name = entry.unwrap().file_name().into_string().unwrap();
        let listed = lines.contains(&name.as_str()) || name.starts_with("whole_");
        assert!(listed, "own_data.py makes {name}, which is not in own_data_errors.txt");
    }
}

#[test]
fn a_file_cut_anywhere_is_refused() {
    let (folder, _) = cases("good");
    let folder = folder.path().join("strings_and_classes");
    for file in ["X.npy", "y.npy"] {
        let whole = std::fs::read(folder.join(file)).unwrap();
        for length in 0..whole.len() {
            std::fs::write(folder.join(file), &whole[..length]).unwrap();
            let text = Dataset::load(&folder).unwrap_err().to_string();
            assert!(
                text.contains(file) && text.contains("expected"),
                "{file} cut to {length} bytes: {text}"
            );
        }
        std::fs::write(folder.join(file), whole).unwrap();
    }
}

#[test]
fn a_path_that_is_no_utf8_is_named_all_the_same() {
    let folder = std::path::Path::new(std::ffi::OsStr::from_bytes(b"/no\xffwhere\n"));
    let text = Dataset::load(folder).unwrap_err().to_string();
    assert!(text.starts_with("cannot read /no\u{fffd}where\u{fffd}/X.npy: No such file"), "{text}");
}

#[test]
fn a_file_without_permission_says_so() {
    use std::os::unix::fs::PermissionsExt;
    let (folder, _) = cases("good");
    let folder = folder.path().join("grey_uint8");
    std::fs::set_permissions(folder.join("X.npy"), std::fs::Permissions::from_mode(0o000)).unwrap();
    // Root may read everything, whatever the permissions.
    if std::fs::File::open(folder.join("X.npy")).is_err() {
        let text = Dataset::load(&folder).unwrap_err().to_string();
        assert!(
            text.contains("Permission denied") && text.ends_with("make it readable with chmod +r"),
            "{text}"
        );
    }
}
