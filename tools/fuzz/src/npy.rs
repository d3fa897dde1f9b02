//! The reader of `X.npy`.

use std::path::Path;

use fastrand::Rng;
use helpers::data::npy::{Header, Kind};
use helpers::data::scaling::Scaling;
use helpers::prelude::*;

use crate::common::{bounded, check_message, scratch, write};
use crate::mutate;

/// Takes the input as `X.npy`, beside labels that fit.
pub(crate) fn run(input: &[u8]) {
    let folder = scratch();
    let images = first_side(input);
    write(&folder, "X.npy", input);
    write(&folder, "y.npy", &array("|u1", &[images], &two_classes(images)));
    match bounded(input.len() + images, || Dataset::load(folder.path())) {
        Err(error) => check_message(&error, "X.npy"),
        Ok(dataset) => check(&dataset, input),
    }
}

/// Every value of the file is in the pixels, at its index.
fn check(dataset: &Dataset, input: &[u8]) {
    let header = parse(input).expect("what was read has a header");
    let values = numbers(&header, input);
    let found = dataset.found_images().expect("what was loaded is valid");
    assert_eq!(found.shape, header.shape);
    assert_eq!(dataset.len(), header.shape[0]);
    let ImageShape { height, width, channels } = dataset.image_shape();
    assert_eq!([height, width], header.shape[1..3]);
    assert_eq!(channels, header.shape.get(3).copied().unwrap_or(1));
    let (smallest, largest) = values
        .iter()
        .fold((f64::INFINITY, f64::NEG_INFINITY), |(low, high), &v| (low.min(v), high.max(v)));
    assert_eq!((found.smallest, found.largest), (smallest, largest));
    let (black, white) = match found.scaling {
        Scaling::AsIs => (0.0, 255.0),
        Scaling::Range { black, white } => (black, white),
    };
    assert!(smallest >= black - 1e-3 && largest <= white + 1e-3 && largest <= 65535.0);
    let pixels: Vec<u8> =
        (0..dataset.len()).flat_map(|image| dataset.image(image).unwrap().into_owned()).collect();
    assert_eq!(pixels.len(), values.len());
    for (index, (&pixel, value)) in pixels.iter().zip(&values).enumerate() {
        let exact = ((value - black) * 255.0 / (white - black)).clamp(0.0, 255.0);
        assert!((f64::from(pixel) - exact).abs() < 0.5 + 1e-9, "{pixel} for {exact} at {index}");
    }
}

/// The header, compared with what a plain search of its text finds.
pub(crate) fn parse(input: &[u8]) -> Option<Header> {
    let header = Header::parse(Path::new("X.npy"), input).ok()?;
    let text: String = input[..header.data_start].iter().map(|&byte| char::from(byte)).collect();
    let after =
        |name: &str| Some(text.split(name).nth(1)?.trim_start().strip_prefix(':')?.trim_start());
    // A record may have a field of such a name; then a plain search finds the wrong one.
    let once = |name: &&str| text.matches(*name).count() == 1;
    if !text.contains('"') && ["'shape'", "'fortran_order'", "'descr'"].iter().all(once) {
        let shape = after("'shape'").and_then(|rest| rest.strip_prefix('(')?.split(')').next());
        let sides =
            shape.expect("a shape").split(',').map(|side| side.trim().trim_end_matches('L'));
        let sides: Vec<&str> = sides.filter(|side| !side.is_empty()).collect();
        // Python writes whole numbers in other ways, too, as 0x1c or 2_8.
        let plain = |side: &&str| side.bytes().all(|byte| byte.is_ascii_digit());
        if sides.iter().all(plain) {
            let sides: Vec<usize> = sides.iter().filter_map(|side| side.parse().ok()).collect();
            assert_eq!(sides, header.shape);
        }
        let fortran = after("'fortran_order'").expect("an order").starts_with("True");
        assert_eq!(fortran, header.fortran_order);
        if header.element.kind != Kind::Record {
            let descr = after("'descr'").expect("a type");
            assert_eq!(descr.starts_with("'>"), header.element.big_endian);
        }
    }
    Some(header)
}

/// The first side of the shape, as far as a file of this length can have it; at least 4.
pub(crate) fn first_side(input: &[u8]) -> usize {
    let side = parse(input).and_then(|header| header.shape.first().copied());
    side.unwrap_or(0).clamp(4, input.len().max(4))
}

/// Every other one 1.
pub(crate) fn two_classes(images: usize) -> Vec<u8> {
    (0..images).map(|image| (image % 2) as u8).collect()
}

/// An `.npy` file.
pub(crate) fn array(descr: &str, shape: &[usize], data: &[u8]) -> Vec<u8> {
    let sides: String = shape.iter().map(|side| format!("{side}, ")).collect();
    let header = format!("{{'descr': '{descr}', 'fortran_order': False, 'shape': ({sides}), }}\n");
    let length = (header.len() as u16).to_le_bytes();
    [b"\x93NUMPY\x01\x00", &length[..], header.as_bytes(), data].concat()
}

/// The elements of the file, each in little-endian order, in the order of the rows.
pub(crate) fn elements(header: &Header, input: &[u8]) -> Vec<Vec<u8>> {
    let data = &input[header.data_start..];
    let sides = &header.shape;
    let count: usize = sides.iter().product();
    assert_eq!(count * header.element.bytes, data.len(), "the header declares other data");
    let element = |index: usize| {
        let mut bytes = data[index * header.element.bytes..][..header.element.bytes].to_vec();
        if header.element.big_endian {
            // A string is characters of four bytes.
            let word = if header.element.kind == Kind::Text { 4 } else { bytes.len() };
            bytes.chunks_mut(word).for_each(<[u8]>::reverse);
        }
        bytes
    };
    (0..count)
        .map(|index| {
            if !header.fortran_order {
                return element(index);
            }
            let (mut rest, mut coordinates) = (index, vec![0; sides.len()]);
            for (coordinate, side) in coordinates.iter_mut().zip(sides).rev() {
                (*coordinate, rest) = (rest % side, rest / side);
            }
            let along = coordinates.iter().zip(sides).rev();
            element(along.fold(0, |offset, (coordinate, side)| offset * side + coordinate))
        })
        .collect()
}

/// The elements of the file as numbers, in the order of the rows.
pub(crate) fn numbers(header: &Header, input: &[u8]) -> Vec<f64> {
    let kind = header.element.kind;
    elements(header, input).iter().map(|bytes| number(kind, bytes)).collect()
}

fn number(kind: Kind, bytes: &[u8]) -> f64 {
    let bits = bytes.iter().rev().fold(0_u64, |bits, &byte| bits << 8 | u64::from(byte));
    match (kind, bytes.len()) {
        (Kind::Float, 8) => f64::from_bits(bits),
        (Kind::Float, 4) => f32::from_bits(bits as u32).into(),
        (Kind::Float, 2) => half(bits as u16),
        (Kind::Signed, 1) => f64::from(bits as u8 as i8),
        (Kind::Signed, 2) => f64::from(bits as u16 as i16),
        (Kind::Signed, 4) => f64::from(bits as u32 as i32),
        (Kind::Signed, 8) => bits as i64 as f64,
        (Kind::Unsigned | Kind::Bool, _) => bits as f64,
        other => panic!("{other:?} was read as a number"),
    }
}

/// Half precision, by way of the bits of single precision: 5 bits of exponent to 8, 10 of fraction to 23.
fn half(half: u16) -> f64 {
    let (sign, rest) = (u32::from(half >> 15) << 31, u32::from(half & 0x7fff));
    if rest >= 0x7c00 {
        return f32::from_bits(sign | 0x7f80_0000 | (rest & 0x3ff) << 13).into();
    }
    // The product moves the exponent's bias from 15 to 127, for numbers without a leading 1, too.
    f64::from(f32::from_bits(sign | rest << 13)) * 2f64.powi(112)
}

const TOKENS: &[&str] = &[
    "|u1",
    "|i1",
    "<u2",
    ">u2",
    "<i4",
    ">i8",
    "<u8",
    "<f2",
    ">f4",
    "<f8",
    "<f16",
    "<U3",
    ">U2",
    "|S4",
    "<U1",
    "|b1",
    "<c8",
    "|O",
    "<M8[D]",
    "|V2",
    "True",
    "False",
    "'descr'",
    "'shape'",
    "(4, 2, 2)",
    "(4,)",
    "(4, 1)",
    "(6, 2)",
    "(4, 1, 1, 3)",
    "()",
    "(-1, 2)",
    "4L",
    "[('a', '<f4')]",
];

/// A changed copy, usually with the length of header and data set right again.
pub(crate) fn mutate(random: &mut Rng, input: &[u8]) -> Vec<u8> {
    let bytes = mutate::bytes(random, input, TOKENS);
    if random.u8(..4) == 0 { bytes } else { repaired(random, bytes) }
}

fn repaired(random: &mut Rng, mut bytes: Vec<u8>) -> Vec<u8> {
    let Some(version) = bytes.get(6).copied() else { return bytes };
    let start = if version == 1 { 10 } else { 12 };
    let Some(end) = bytes.iter().skip(start).position(|&byte| byte == b'\n') else { return bytes };
    let length = end + 1;
    bytes[..6].copy_from_slice(b"\x93NUMPY");
    if version == 1 {
        bytes[8..10].copy_from_slice(&(length as u16).to_le_bytes());
    } else {
        bytes[8..12].copy_from_slice(&(length as u32).to_le_bytes());
    }
    let Ok(header) = Header::parse(Path::new("X.npy"), &bytes) else { return bytes };
    let declared = header.shape.iter().try_fold(header.element.bytes, |n, &s| n.checked_mul(s));
    if let Some(declared) = declared.filter(|&declared| declared <= 1 << 14) {
        let filler = if random.bool() { random.u8(..) } else { random.u8(..2) };
        bytes.resize(header.data_start + declared, filler);
    }
    bytes
}
