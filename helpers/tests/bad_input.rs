//! Files and settings that are wrong: each gives an error that names the file or the setting, what was expected, what was
//! found and what to do; never a panic, and never a result.

use std::fs;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;

use helpers::architectures::DenseConfig;
use helpers::artifacts::Artifacts;
use helpers::models::Model;
use helpers::prelude::*;
use helpers::{Error, Result};

/// An `.npy` file with this text between the quotes of its header.
fn file(version: u8, header: &str, data: &[u8]) -> Vec<u8> {
    let mut bytes = b"\x93NUMPY".to_vec();
    bytes.extend([version, 0]);
    let header = format!("{header}\n");
    match version {
        1 => bytes.extend((header.len() as u16).to_le_bytes()),
        _ => bytes.extend((header.len() as u32).to_le_bytes()),
    }
    bytes.extend(header.as_bytes());
    bytes.extend(data);
    bytes
}

fn header(descr: &str, fortran: bool, shape: &str) -> String {
    let fortran = if fortran { "True" } else { "False" };
    format!("{{'descr': {descr}, 'fortran_order': {fortran}, 'shape': {shape}, }}")
}

/// An array in C order, `descr` with its quotes left out.
fn array(descr: &str, shape: &str, data: &[u8]) -> Vec<u8> {
    file(1, &header(&format!("'{descr}'"), false, shape), data)
}

fn floats(values: &[f32]) -> Vec<u8> {
    values.iter().flat_map(|value| value.to_le_bytes()).collect()
}

fn wholes(values: &[i64]) -> Vec<u8> {
    values.iter().flat_map(|value| value.to_le_bytes()).collect()
}

/// Strings of six characters, as NumPy keeps them.
fn texts(values: &[&str]) -> Vec<u8> {
    let padded =
        |text: &&str| text.chars().chain(std::iter::repeat('\0')).take(6).collect::<Vec<_>>();
    values.iter().flat_map(padded).flat_map(|letter| (letter as u32).to_le_bytes()).collect()
}

/// Six grey images of 4 × 4 pixels.
fn good_x() -> Vec<u8> {
    array("|u1", "(6, 4, 4)", &[7; 96])
}

/// Their labels, of two classes.
fn good_y() -> Vec<u8> {
    array("<i8", "(6,)", &wholes(&[0, 0, 0, 1, 1, 1]))
}

fn good_folder() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("X.npy"), good_x()).unwrap();
    fs::write(folder.path().join("y.npy"), good_y()).unwrap();
    folder
}

/// Checks that `what` fails, with a message that holds `words` and stands on one line.
fn refused<T>(case: &str, words: &[&str], what: impl FnOnce() -> Result<T>) {
    if let Some(fault) = fault(words, what) {
        panic!("{case}: {fault}");
    }
}

/// What is wrong with the way `what` fails.
fn fault<T>(words: &[&str], what: impl FnOnce() -> Result<T>) -> Option<String> {
    let text = match catch_unwind(AssertUnwindSafe(what)) {
        Ok(Ok(_)) => return Some("taken as if nothing were wrong".to_owned()),
        Ok(Err(error)) => error.to_string(),
        Err(_) => return Some("a panic".to_owned()),
    };
    if let Some(word) = words.iter().find(|word| !text.contains(*word)) {
        return Some(format!("no `{word}` in: {text}"));
    }
    let told = text.contains("; ") && text.len() < 1000;
    let on_one_line = !text.contains(['\n', '\r', '\u{1b}', '\0']);
    (!told || !on_one_line)
        .then(|| format!("not one line that says what to do: {text:?}, {} bytes", text.len()))
}

/// One wrong file beside good ones: its name, its bytes, and words of the message.
type Case = (&'static str, &'static str, Vec<u8>, &'static [&'static str]);

#[test]
fn control_the_good_folder_is_taken() {
    let folder = good_folder();
    assert_eq!(Dataset::load(folder.path()).unwrap().len(), 6);
}

#[test]
fn wrong_images() {
    let x = |shape: &str, bytes: usize| array("|u1", shape, &vec![7; bytes]);
    let typed = |descr: &str, bytes: usize| array(descr, "(6, 4, 4)", &vec![0; bytes]);
    let raw = |header: &str| file(1, header, &[7; 96]);
    let mut nan = vec![0.5f32; 96];
    nan[3 * 16 + 2 * 4 + 1] = f32::NAN;
    let (mut infinite, mut negative) = (vec![0.5f32; 96], vec![0.5f32; 96]);
    let mut outlier: Vec<f32> = (0..96).map(|value| value as f32 / 48.0).collect();
    outlier[7] = 60_000.0;
    (infinite[95], negative[0]) = (f32::INFINITY, -0.25);
    let floating = |values: &[f32]| array("<f4", "(6, 4, 4)", &floats(values));
    let mut long_header = file(2, &header("'|u1'", false, "(6, 4, 4)"), &[7; 96]);
    long_header[8..12].copy_from_slice(&u32::MAX.to_le_bytes());
    let cases: Vec<Case> = vec![
        ("empty", "X.npy", vec![], &["an empty file", "np.save"]),
        ("one byte of the magic", "X.npy", vec![0x93], &["a file of 1 bytes"]),
        ("the magic alone", "X.npy", b"\x93NUMPY".to_vec(), &["ends in it"]),
        ("text", "X.npy", b"1,2,3\n4,5,6\n".to_vec(), &["begins with"]),
        ("an archive", "X.npy", b"PK\x03\x04rest".to_vec(), &["np.savez"]),
        ("a pickle", "X.npy", b"\x80\x04\x95rest".to_vec(), &["a pickle", "never read"]),
        ("a PNG", "X.npy", b"\x89PNG\r\n\x1a\nrest".to_vec(), &["begins with"]),
        ("version 0", "X.npy", file(0, "{}", &[]), &["version 0.0"]),
        ("version 4", "X.npy", file(4, "{}", &[]), &["version 4.0"]),
        ("version 9, empty", "X.npy", b"\x93NUMPY\x09\x00".to_vec(), &["version 9.0"]),
        ("a header of gigabytes", "X.npy", long_header, &["claims 4294967295"]),
        ("no dictionary", "X.npy", raw("u1 (6, 4, 4)"), &["the header NumPy writes"]),
        ("an empty dictionary", "X.npy", raw("{}"), &["without 'descr'"]),
        (
            "no shape",
            "X.npy",
            raw("{'descr': '|u1', 'fortran_order': False}"),
            &["without 'shape'"],
        ),
        ("no order", "X.npy", raw("{'descr': '|u1', 'shape': (6, 4, 4)}"), &["'fortran_order'"]),
        (
            "two shapes",
            "X.npy",
            raw("{'descr': '|u1', 'fortran_order': False, 'shape': (6, 4, 4), 'shape': (96,)}"),
            &["two 'shape'"],
        ),
        (
            "an order that is text",
            "X.npy",
            raw("{'descr': '|u1', 'fortran_order': 'no', 'shape': (6, 4, 4)}"),
            &["neither True nor False"],
        ),
        (
            "a shape that is a number",
            "X.npy",
            array("|u1", "96", &[7; 96]),
            &["the header NumPy writes"],
        ),
        ("a negative side", "X.npy", x("(-6, 4, 4)", 96), &["whole numbers from 0 up"]),
        ("a side with a fraction", "X.npy", x("(6.0, 4, 4)", 96), &["no tuple of whole numbers"]),
        ("a side beyond 64 bits", "X.npy", x("(99999999999999999999, 4, 4)", 96), &["from 0 up"]),
        ("a product beyond 64 bits", "X.npy", x("(4294967296, 4294967296, 4)", 96), &["counted"]),
        ("terabytes declared", "X.npy", x("(1099511627776, 4, 4)", 96), &["96 bytes", "cut off"]),
        ("one byte short", "X.npy", x("(6, 4, 4)", 95), &["95 bytes", "cut off"]),
        ("one byte too many", "X.npy", x("(6, 4, 4)", 97), &["97 bytes", "behind the array"]),
        ("no data", "X.npy", x("(6, 4, 4)", 0), &["0 bytes", "cut off"]),
        ("no images", "X.npy", x("(0, 4, 4)", 0), &["shape (0, 4, 4)"]),
        ("no rows", "X.npy", x("(6, 0, 4)", 0), &["images that have pixels"]),
        ("no columns", "X.npy", x("(6, 4, 0)", 0), &["images that have pixels"]),
        ("0 dimensions", "X.npy", x("()", 1), &["shape ()"]),
        ("1 dimension", "X.npy", x("(96,)", 96), &["X and y are swapped"]),
        ("2 dimensions", "X.npy", x("(6, 16)", 96), &["reshape"]),
        ("5 dimensions", "X.npy", x("(6, 4, 2, 2, 1)", 96), &["shape (6, 4, 2, 2, 1)"]),
        ("6 dimensions", "X.npy", x("(6, 2, 2, 2, 2, 1)", 96), &["shape (6, 2, 2, 2, 2, 1)"]),
        ("channels first", "X.npy", x("(6, 3, 4, 4)", 288), &["moveaxis"]),
        ("transparency", "X.npy", x("(6, 4, 4, 4)", 384), &["X[..., :3]"]),
        ("two channels", "X.npy", x("(6, 4, 4, 2)", 192), &["1 or 3 channels"]),
        ("objects", "X.npy", typed("|O", 768), &["objects", "never read"]),
        ("complex numbers", "X.npy", typed("<c8", 768), &["complex64"]),
        ("truth values of 7", "X.npy", array("|b1", "(6, 4, 4)", &[7; 96]), &["0 or 1", "neither"]),
        ("dates", "X.npy", typed("<M8[D]", 768), &["dates or times"]),
        ("durations", "X.npy", typed("<m8[s]", 768), &["dates or times"]),
        ("strings", "X.npy", typed("<U3", 1152), &["save"]),
        ("raw bytes", "X.npy", typed("|V4", 384), &["save"]),
        ("long doubles", "X.npy", typed("<f16", 1536), &["float32"]),
        ("an unknown type", "X.npy", typed("<z9", 96), &["a type that NumPy knows", "z9"]),
        ("a type of no length", "X.npy", typed("<i", 96), &["a type that NumPy knows"]),
        (
            "records",
            "X.npy",
            file(1, &header("[('a', '|u1'), ('b', '|u1')]", false, "(6, 4, 4)"), &[7; 192]),
            &["records["],
        ),
        ("not a number", "X.npy", floating(&nan), &["NaN in image 3, row 2, column 1"]),
        ("infinity", "X.npy", floating(&infinite), &["inf in image 5, row 3, column 3"]),
        ("a negative value", "X.npy", floating(&negative), &["-0.25 in image 0, row 0, column 0"]),
        ("floats that are all 1000", "X.npy", floating(&[1000.0; 96]), &["found 1000 to 1000"]),
        ("an outlier", "X.npy", floating(&outlier), &["16 levels of grey, found 2", "percentile"]),
        (
            "whole numbers of 32 bits",
            "X.npy",
            array("<u4", "(6, 4, 4)", &[0xff; 384]),
            &["found 4294967295 to 4294967295"],
        ),
        (
            "a negative value, big-endian and in Fortran order",
            "X.npy",
            file(1, &header("'>i2'", true, "(6, 4, 4)"), &[0xfe; 192]),
            &["-258 in image 0, row 0, column 0"],
        ),
    ];
    check(cases);
}

#[test]
fn wrong_labels() {
    let y = |values: &[i64]| array("<i8", &format!("({},)", values.len()), &wholes(values));
    let floating = |values: &[f32]| array("<f4", "(6,)", &floats(values));
    let one_hot = |rows: [[i64; 2]; 6]| array("<i8", "(6, 2)", &wholes(&rows.concat()));
    let named = |names: &[&str]| array("<U6", "(6,)", &texts(names));
    let right = [[1, 0], [1, 0], [1, 0], [0, 1], [0, 1], [0, 1]];
    let with = |row: usize, values| {
        let mut rows = right;
        rows[row] = values;
        one_hot(rows)
    };
    let eight = right.map(|[first, second]| [first, second, 0, 0, 0, 0, 0, 0]);
    let mut no_character = texts(&["a", "a", "a", "b", "b", "b"]);
    no_character[3] = 0xff;
    // Three names and then three others, 24 bytes each.
    let lines = |hostile: &str| {
        let padded = |text: &str| [text.as_bytes(), &[0; 24]].concat()[..24].to_vec();
        [padded("a"), padded("a"), padded("a"), padded(hostile), padded("b"), padded("b")].concat()
    };
    let cases: Vec<Case> = vec![
        ("empty", "y.npy", vec![], &["an empty file"]),
        ("fewer than images", "y.npy", y(&[0, 0, 1, 1, 1]), &["6 labels", "found 5"]),
        ("more than images", "y.npy", y(&[0, 0, 1, 1, 1, 0, 1]), &["6 labels", "found 7"]),
        ("none", "y.npy", y(&[]), &["6 labels", "found 0"]),
        ("a negative one", "y.npy", y(&[0, 0, -1, 1, 1, 1]), &["-1 at index 2"]),
        ("one class", "y.npy", y(&[4; 6]), &["at least two classes", "\"4\" alone"]),
        ("one image in a class", "y.npy", y(&[0, 0, 0, 1, 1, 2]), &["1 of class \"2\""]),
        ("a class for each image", "y.npy", y(&[0, 1, 2, 3, 4, 5]), &["and 5 more classes"]),
        ("fractions", "y.npy", floating(&[0.0, 0.5, 1.0, 1.0, 0.0, 1.0]), &["0.5 at index 1"]),
        ("not a number", "y.npy", floating(&[0.0, 0.0, 1.0, 1.0, f32::NAN, 1.0]), &["NaN"]),
        ("infinity", "y.npy", floating(&[0.0, 0.0, f32::INFINITY, 1.0, 0.0, 1.0]), &["inf"]),
        ("a number beyond 63 bits", "y.npy", array("<u8", "(6,)", &[0xff; 48]), &["at index 0"]),
        (
            "one-hot with more classes than images",
            "y.npy",
            array("<i8", "(6, 8)", &wholes(&eight.concat())),
            &["at least two images of each class", "0 of class \"2\"", "5 more classes"],
        ),
        ("one-hot without classes", "y.npy", array("<i8", "(6, 0)", &[]), &["shape (6, 0)"]),
        ("two ones in a row", "y.npy", with(2, [1, 1]), &["two ones in row 2"]),
        ("no one in a row", "y.npy", with(4, [0, 0]), &["no 1 in row 4"]),
        ("a two in a row", "y.npy", with(1, [2, 0]), &["2 in row 1, column 0"]),
        ("three dimensions", "y.npy", array("<i8", "(6, 1, 1)", &[0; 48]), &["(6, 1, 1)"]),
        ("no dimension", "y.npy", array("<i8", "()", &[0; 8]), &["shape ()"]),
        ("rows of strings", "y.npy", array("<U1", "(6, 2)", &[0; 48]), &["of strings"]),
        ("objects", "y.npy", array("|O", "(6,)", &[0; 48]), &["allow_pickle=False"]),
        ("complex numbers", "y.npy", array("<c16", "(6,)", &[0; 96]), &["complex128"]),
        ("dates", "y.npy", array("<M8[D]", "(6,)", &[0; 48]), &["dates or times"]),
        ("blank names", "y.npy", named(&["a", "a", "  ", "b", "b", "b"]), &["nothing but blanks"]),
        ("a line break", "y.npy", named(&["a", "a", "x\ny", "b", "b", "b"]), &["U+000A"]),
        (
            "an end of the protocol's block",
            "y.npy",
            array("|S24", "(6,)", &lines("a\nEVCXR_END_CONTENT\n<b>")),
            &["U+000A"],
        ),
        ("an escape", "y.npy", named(&["a", "a", "\u{1b}[1m", "b", "b", "b"]), &["U+001B"]),
        ("no character", "y.npy", array("<U6", "(6,)", &no_character), &["no character"]),
        (
            "no UTF-8",
            "y.npy",
            array("|S1", "(6,)", &[b'a', b'a', 0xff, b'b', b'b', b'b']),
            &["UTF-8"],
        ),
        ("cut off", "y.npy", good_y()[..good_y().len() - 3].to_vec(), &["cut off"]),
    ];
    check(cases);
}

#[test]
fn wrong_class_names() {
    let text = |text: &str| text.as_bytes().to_vec();
    let cases: Vec<Case> = vec![
        ("too few", "classes.txt", text("shirt\n"), &["2 names", "found 1"]),
        ("too many", "classes.txt", text("a\nb\nc\n"), &["2 names", "found 3"]),
        ("empty", "classes.txt", vec![], &["2 names", "found 0"]),
        ("the same twice", "classes.txt", text("a\na\n"), &["a second time in line 2"]),
        ("a blank line", "classes.txt", text("a\n\nb\n"), &["nothing but blanks in line 2"]),
        ("a control character", "classes.txt", text("a\nb\u{7}\n"), &["U+0007"]),
        ("not UTF-8", "classes.txt", vec![b'a', b'\n', 0xff, 0xfe], &["UTF-8"]),
        ("an endless name", "classes.txt", text(&format!("a\n{}\n", "b".repeat(300))), &["300"]),
        ("two megabytes", "classes.txt", vec![b'a'; 2 << 20], &["2097152 bytes"]),
    ];
    check(cases);
}

fn check(cases: Vec<Case>) {
    let mut faults = Vec::new();
    for (case, name, bytes, words) in cases {
        let folder = good_folder();
        fs::write(folder.path().join(name), bytes).unwrap();
        let words: Vec<&str> = [&[name], words].concat();
        let fault = fault(&words, || Dataset::load(folder.path()));
        faults.extend(fault.map(|fault| format!("{name}, {case}: {fault}")));
    }
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}

/// Names that are markup are names and are shown as text. One that is a marker of evcxr's protocol is none any more: a
/// notebook that prints a name would never end its cell.
#[test]
fn labels_that_are_markup_are_taken_and_shown_as_text() {
    let names = ["<script>alert(1)</script>", "EVCXR_END_CONTENT"];
    let padded = |name: &str| [name.as_bytes(), &[0; 32]].concat()[..32].to_vec();
    let folder = good_folder();
    let rows: Vec<u8> = (0..6).flat_map(|row| padded(names[row % 2])).collect();
    fs::write(folder.path().join("y.npy"), array("|S32", "(6,)", &rows)).unwrap();
    let dataset = Dataset::load(folder.path()).unwrap();
    let found: Vec<&str> = dataset.class_names().iter().map(String::as_str).collect();
    assert_eq!(found, [names[0], "EVCXR-END_CONTENT"]);
    let (html, text) = (dataset.table().to_html(), dataset.table().to_text());
    assert!(html.contains("&lt;script&gt;") && !html.contains("<script"), "{html}");
    assert!(!html.contains("EVCXR_") && !text.contains("EVCXR_"), "{text}");
}

/// X.npy with a header of this version.
fn good_x_of(version: u8) -> Vec<u8> {
    file(version, &header("'|u1'", false, "(6, 4, 4)"), &[7; 96])
}

#[test]
fn headers_of_all_versions_are_taken_and_damaged_ones_refused() {
    for version in [1, 2, 3] {
        let folder = good_folder();
        let path = folder.path().join("X.npy");
        fs::write(&path, good_x_of(version)).unwrap();
        assert_eq!(Dataset::load(folder.path()).unwrap().len(), 6);
        // Each byte of the header another one: never a panic, and where it is refused, in words.
        let whole = good_x_of(version);
        for index in 0..whole.len() - 96 {
            for byte in [0, b'\'', b'9', 0x80, 0xff] {
                let mut bytes = whole.clone();
                bytes[index] = byte;
                fs::write(&path, &bytes).unwrap();
                let loaded = catch_unwind(AssertUnwindSafe(|| Dataset::load(folder.path())));
                match loaded.expect("a panic") {
                    Ok(dataset) => assert_eq!(dataset.len(), 6, "version {version}, byte {index}"),
                    Err(error) => {
                        let fault = fault(&["X.npy"], || Err::<(), _>(error));
                        assert_eq!(fault, None, "version {version}, byte {index} is {byte}");
                    }
                }
            }
        }
    }
}

#[test]
fn every_prefix_of_a_file_is_refused() {
    let versions = [2, 3].map(|version| ("X.npy", good_x_of(version)));
    for (name, whole) in [("X.npy", good_x()), ("y.npy", good_y())].into_iter().chain(versions) {
        for length in 0..whole.len() {
            let folder = good_folder();
            fs::write(folder.path().join(name), &whole[..length]).unwrap();
            let case = format!("{name}, its first {length} bytes");
            refused(&case, &[name], || Dataset::load(folder.path()));
        }
    }
}

#[test]
fn what_is_no_file() {
    for name in ["X.npy", "y.npy", "classes.txt"] {
        let replaced = |case: &str, words: &[&str], replace: &dyn Fn(&Path)| {
            let folder = good_folder();
            let path = folder.path().join(name);
            let _ = fs::remove_file(&path);
            replace(&path);
            refused(&format!("{name}, {case}"), &[&[name], words].concat(), || {
                Dataset::load(folder.path())
            });
        };
        replaced("a folder", &["a folder"], &|path| fs::create_dir(path).unwrap());
        if name != "classes.txt" {
            replaced("missing", &["cargo xtask data"], &|_| ());
        }
        #[cfg(unix)]
        {
            use std::os::unix::fs::symlink;
            replaced("a dangling link", &["cannot read"], &|path| {
                symlink("nowhere", path).unwrap();
            });
            replaced("a link to itself", &["cannot read"], &|path| {
                symlink(path, path).unwrap();
            });
            replaced("a device", &["no regular file"], &|path| {
                symlink("/dev/zero", path).unwrap();
            });
            replaced("a pipe", &["no regular file"], &make_pipe);
        }
    }
    refused("no folder", &["X.npy", "cargo xtask data"], || Dataset::load("no such folder"));
}

#[cfg(unix)]
fn make_pipe(path: &Path) {
    assert!(std::process::Command::new("mkfifo").arg(path).status().unwrap().success());
}

/// A pipe that is opened waits for a writer, and a device never ends.
#[cfg(unix)]
#[test]
fn what_is_no_file_is_no_model_and_no_result() {
    use std::os::unix::ffi::OsStrExt;
    use std::os::unix::fs::symlink;
    type Make<'a> = (&'a str, &'a str, &'a dyn Fn(&Path));
    let makes: [Make; 6] = [
        ("a pipe", "no regular file", &make_pipe),
        ("a device", "no regular file", &|path| symlink("/dev/zero", path).unwrap()),
        ("a folder", "a folder", &|path| fs::create_dir(path).unwrap()),
        ("a dangling link", "cannot read", &|path| symlink("nowhere", path).unwrap()),
        ("a link to itself", "cannot read", &|path| symlink(path, path).unwrap()),
        ("no UTF-8", "expected ", &|path| {
            fs::write(path, b"{\"schema\": 1, \"\xff\xfe\"").unwrap()
        }),
    ];
    let folder = tempfile::tempdir().unwrap();
    // A path that is not UTF-8 either.
    let odd = folder.path().join(std::ffi::OsStr::from_bytes(b"ex\xffport"));
    for folder in [folder.path(), &odd] {
        let artifacts = Artifacts::new(folder);
        let paths = [
            artifacts.metrics_path("cnn"),
            artifacts.predictions_path("cnn"),
            artifacts.model_path("cnn"),
        ];
        for (what, words, make) in &makes {
            for path in &paths {
                fs::create_dir_all(path.parent().unwrap()).unwrap();
                make(path);
            }
            let advice = "notebook";
            let case = |kind: &str| format!("{kind}, {what}");
            let metrics = || artifacts.load_metrics("cnn");
            refused(&case("metrics"), &["cnn.json", words, advice], metrics);
            let predictions = || artifacts.load_predictions("cnn");
            refused(&case("predictions"), &["cnn.json", words, advice], predictions);
            let model = || Model::load(&paths[2]);
            refused(&case("a model"), &["cnn.safetensors", words, advice], model);
            for path in &paths {
                let _ = fs::remove_file(path).or_else(|_| fs::remove_dir(path));
            }
        }
    }
}

#[test]
fn a_result_that_is_longer_than_any_is_not_read() {
    let folder = tempfile::tempdir().unwrap();
    let artifacts = Artifacts::new(folder.path());
    let path = artifacts.metrics_path("cnn");
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    // A file of holes: it has the length and takes no room.
    fs::File::create(&path).unwrap().set_len(1 << 40).unwrap();
    let words = ["cnn.json", "found 1099511627776 bytes, more than 268435456"];
    refused("a terabyte", &words, || artifacts.load_metrics("cnn"));
}

/// What stands in a file may not lead its message: onto a second line, or into the protocol.
#[test]
fn text_of_a_wrong_file_stays_within_its_message() {
    let folder = tempfile::tempdir().unwrap();
    let artifacts = Artifacts::new(folder.path());
    let path = artifacts.metrics_path("cnn");
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    let hostile = "{\"schema\": 1, \"name\": {\"\\nEVCXR_BEGIN_CONTENT text/html\\n<script>\": 1}}";
    fs::write(&path, hostile).unwrap();
    refused("metrics", &["cnn.json"], || artifacts.load_metrics("cnn"));
    let named = folder.path().join("EVCXR_BEGIN_CONTENT text");
    let text = Dataset::load(&named).unwrap_err().to_string();
    assert!(text.contains("EVCXR-BEGIN_CONTENT text") && !text.contains("EVCXR_"), "{text}");
}

#[cfg(unix)]
#[test]
fn a_path_that_is_not_utf_8_is_read_and_named() {
    use std::os::unix::ffi::OsStrExt;
    let folder = tempfile::tempdir().unwrap();
    let odd = folder.path().join(std::ffi::OsStr::from_bytes(b"d\xffta"));
    fs::create_dir(&odd).unwrap();
    refused("a path that is not UTF-8", &["X.npy"], || Dataset::load(&odd));
    fs::write(odd.join("X.npy"), good_x()).unwrap();
    fs::write(odd.join("y.npy"), good_y()).unwrap();
    assert_eq!(Dataset::load(&odd).unwrap().len(), 6);
}

#[test]
fn wrong_model_files() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("model.safetensors");
    let dataset = Dataset::load(good_folder().path()).unwrap();
    let network = DenseConfig { hidden: vec![4, 4], ..DenseConfig::default() };
    let model = network.network(dataset.image_shape(), 2).build(1).unwrap();
    model.save(&path).unwrap();
    let whole = fs::read(&path).unwrap();
    let flipped = |index: usize| {
        let mut bytes = whole.clone();
        bytes[index] ^= 1;
        bytes
    };
    let cases = [
        ("empty", vec![]),
        ("text", b"no model".to_vec()),
        ("a pickle", b"\x80\x02}q\x00.".to_vec()),
        ("a header of exabytes", [0xff; 16].to_vec()),
        ("a header alone", 8u64.to_le_bytes().into_iter().chain(*b"{}      ").collect()),
        ("half", whole[..whole.len() / 2].to_vec()),
        ("one byte short", whole[..whole.len() - 1].to_vec()),
        ("one byte more", [&whole[..], &[0]].concat()),
        ("a bit of the last weight", flipped(whole.len() - 1)),
        ("a bit of the first weight", flipped(whole.len() - 400)),
        ("a bit of the header's length", flipped(0)),
    ];
    for (case, bytes) in cases {
        fs::write(&path, bytes).unwrap();
        refused(&format!("a model, {case}"), &["model.safetensors"], || Model::load(&path));
    }
    fs::remove_file(&path).unwrap();
    refused("no model", &["model.safetensors", "run the notebook"], || Model::load(&path));
    refused("a folder", &["run the notebook"], || Model::load(folder.path()));
}

#[test]
fn wrong_results_of_other_notebooks() {
    let folder = tempfile::tempdir().unwrap();
    let artifacts = Artifacts::new(folder.path());
    refused("no metrics", &["cnn.json", "notebook"], || artifacts.load_metrics("cnn"));
    refused("no predictions", &["cnn.json", "notebook"], || artifacts.load_predictions("cnn"));
    for (case, text) in [
        ("empty", ""),
        ("no JSON", "accuracy 0.9"),
        ("another value", "[1, 2]"),
        ("another layout", "{\"schema\": 7}"),
        ("no layout", "{\"name\": \"cnn\"}"),
        ("cut off", "{\"schema\": 1, \"name\": \"cn"),
        ("nested without end", &"[".repeat(100_000)),
    ] {
        for path in [artifacts.metrics_path("cnn"), artifacts.predictions_path("cnn")] {
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        }
        refused(&format!("metrics, {case}"), &["cnn.json"], || artifacts.load_metrics("cnn"));
        let load = || artifacts.load_predictions("cnn");
        refused(&format!("predictions, {case}"), &["cnn.json"], load);
    }
    for name in ["", "..", "a/b", "a\\b", "a b", "a\nb", &"a".repeat(200)] {
        refused(&format!("the name {name:?}"), &["`name`"], || artifacts.load_metrics(name));
    }
}

/// Puts a wrong value into good settings.
type Change = Box<dyn Fn(&mut FitConfig)>;

#[test]
fn wrong_settings() {
    let dataset = Dataset::load(good_folder().path()).unwrap();
    let parts = |test| {
        let config =
            SplitConfig { test_size: test, validation_size: 0.5, random_state: 1, stratify: false };
        dataset.split(config).unwrap()
    };
    let (split, too_few) = (parts(0.3), parts(0.5));
    let fit = |change: &dyn Fn(&mut FitConfig)| {
        let network = DenseConfig { hidden: vec![4], ..DenseConfig::default() };
        let mut model = network.network(dataset.image_shape(), 2).build(1)?;
        let mut config = FitConfig { epochs: 1, ..FitConfig::default() };
        change(&mut config);
        model.fit(&split, config).map(|_| ())
    };
    fit(&|_| ()).unwrap();
    refused("one image to train on", &["`split` must be", "got 1 and 2"], || {
        let network = DenseConfig { hidden: vec![4], ..DenseConfig::default() };
        let mut model = network.network(dataset.image_shape(), 2).build(1)?;
        model.fit(&too_few, FitConfig::default()).map(|_| ())
    });
    let one_by_one = |network: Sequential| {
        let config = FitConfig { epochs: 1, batch_size: 1, ..FitConfig::default() };
        let mut model = network.dense(2).build(1)?;
        let before = model.predict(&split.test)?;
        model.fit(&split, config)?;
        Ok::<_, Error>(model.predict(&split.test)? != before)
    };
    let flat = || Sequential::new(dataset.image_shape()).flatten().dense(4);
    assert!(one_by_one(flat()).unwrap(), "batches of one image train too");
    let words = ["`batch_size` must be at least 2 for a network with batch normalisation, got 1"];
    refused("one image to normalise", &words, || one_by_one(flat().batch_normalization()));
    let erase = |erase| Augmentation { erase, ..Augmentation::default() };
    let plateau = |factor, patience| Schedule::ReduceOnPlateau { factor, patience };
    let cases: Vec<(&str, Change)> = vec![
        ("epochs", Box::new(|config| config.epochs = 0)),
        ("patience", Box::new(|config| config.patience = 0)),
        ("batch_size", Box::new(|config| config.batch_size = 0)),
        ("learning_rate", Box::new(|config| config.learning_rate = 0.0)),
        ("learning_rate", Box::new(|config| config.learning_rate = -1.0)),
        ("learning_rate", Box::new(|config| config.learning_rate = f64::NAN)),
        ("learning_rate", Box::new(|config| config.learning_rate = f64::INFINITY)),
        ("weight_decay", Box::new(|config| config.weight_decay = -0.1)),
        ("weight_decay", Box::new(|config| config.weight_decay = f64::NAN)),
        ("label_smoothing", Box::new(|config| config.label_smoothing = 1.0)),
        ("label_smoothing", Box::new(|config| config.label_smoothing = -0.1)),
        ("shift", Box::new(|config| config.augmentation.shift = 2.0)),
        ("shift", Box::new(|config| config.augmentation.shift = f64::NAN)),
        ("erase", Box::new(move |config| config.augmentation = erase(1.5))),
        ("erase", Box::new(move |config| config.augmentation = erase(f64::NAN))),
        (
            "warmup_epochs",
            Box::new(|config| {
                config.schedule =
                    Schedule::Cosine { warmup_epochs: 1.0, alpha: 0.0, decay_epochs: 0 }
            }),
        ),
        (
            "warmup_epochs",
            Box::new(|config| {
                config.schedule =
                    Schedule::Cosine { warmup_epochs: -1.0, alpha: 0.0, decay_epochs: 0 }
            }),
        ),
        (
            "alpha",
            Box::new(|config| {
                config.schedule =
                    Schedule::Cosine { warmup_epochs: 0.5, alpha: 1.5, decay_epochs: 0 }
            }),
        ),
        ("factor", Box::new(move |config| config.schedule = plateau(1.0, 2))),
        ("factor", Box::new(move |config| config.schedule = plateau(f64::NAN, 2))),
        ("schedule.patience", Box::new(move |config| config.schedule = plateau(0.5, 0))),
        ("ema_momentum", Box::new(|config| config.ema_momentum = Some(1.0))),
        ("mixup", Box::new(|config| config.mixup = -0.1)),
        ("mixup", Box::new(|config| config.mixup = f64::NAN)),
        ("cutmix", Box::new(|config| config.cutmix = f64::INFINITY)),
        ("ema_momentum", Box::new(|config| config.ema_momentum = Some(f64::NAN))),
    ];
    for (name, change) in cases {
        refused(&format!("`{name}`"), &[&format!("`{name}` must be")], || fit(&change));
    }
    refused("a sample below the number of classes", &["`sample` must be 0", "got 1"], || {
        dataset.take_stratified(1, 1)
    });
    let build = |dropout| {
        let network = DenseConfig { dropout, hidden: vec![4], ..DenseConfig::default() };
        network.network(dataset.image_shape(), 2).build(1)
    };
    for dropout in [1.0, 1.5, -0.1, f64::NAN] {
        refused(&format!("dropout {dropout}"), &["`rate` must lie in 0..1"], || build(dropout));
    }
    for (test, validation) in [(0.0, 0.5), (1.0, 0.5), (-0.1, 0.5), (f64::NAN, 0.5), (0.34, 1.0)] {
        let config = SplitConfig {
            test_size: test,
            validation_size: validation,
            random_state: 1,
            stratify: true,
        };
        refused(&format!("split {test} {validation}"), &["must be"], || dataset.split(config));
    }
}
