//! Small changes to an input, drawn from a generator: the same seed makes the same ones.

use fastrand::Rng;
use serde_json::Value;

/// Numbers at which something often goes wrong.
const NUMBERS: &[&str] = &[
    "0",
    "1",
    "2",
    "3",
    "4",
    "7",
    "-1",
    "0.5",
    "1.0",
    "255",
    "256",
    "65536",
    "2147483647",
    "2147483648",
    "4294967295",
    "4294967296",
    "1099511627776",
    "9223372036854775807",
    "9223372036854775808",
    "-9223372036854775808",
    "18446744073709551615",
    "18446744073709551616",
    "1e308",
    "1e-320",
];

/// A copy with one to four changes; `tokens` are among what is put in.
pub(crate) fn bytes(random: &mut Rng, input: &[u8], tokens: &[&str]) -> Vec<u8> {
    let mut bytes = input.to_vec();
    for _ in 0..random.usize(1..=4) {
        change(random, &mut bytes, tokens);
    }
    bytes
}

fn change(random: &mut Rng, bytes: &mut Vec<u8>, tokens: &[&str]) {
    let position = random.usize(..=bytes.len());
    let end = (position + random.usize(..=16)).min(bytes.len());
    let token = tokens.get(random.usize(..tokens.len().max(1))).copied().unwrap_or("");
    match random.u8(..10) {
        0 if position < bytes.len() => bytes[position] ^= 1 << random.u8(..8),
        1 if position < bytes.len() => bytes[position] = random.u8(..),
        2 => drop(bytes.drain(position..end)),
        3 => {
            let copy = bytes[position..end].to_vec();
            let position = random.usize(..=bytes.len());
            bytes.splice(position..position, copy);
        }
        4 => drop(bytes.splice(position..position, token.bytes())),
        5 => drop(bytes.splice(position..position, (0..random.u8(..9)).map(|_| random.u8(..)))),
        6 if random.u8(..4) == 0 => bytes.truncate(position),
        7 => replace(
            random,
            bytes,
            token,
            |byte| matches!(byte, b'\'' | b'"'),
            |byte| !matches!(byte, b'\'' | b'"'),
        ),
        _ => {
            let number = NUMBERS[random.usize(..NUMBERS.len())];
            replace(random, bytes, number, |byte| !byte.is_ascii_digit(), |b| b.is_ascii_digit());
        }
    }
}

/// Replaces by `text` a run of bytes for which `inside` holds, after a byte for which `before` holds.
fn replace(
    random: &mut Rng,
    bytes: &mut Vec<u8>,
    text: &str,
    before: fn(u8) -> bool,
    inside: fn(u8) -> bool,
) {
    let starts: Vec<usize> = (1..bytes.len())
        .filter(|&position| before(bytes[position - 1]) && inside(bytes[position]))
        .collect();
    let Some(&start) = random.choice(&starts) else { return };
    let length = bytes[start..].iter().take_while(|&&byte| inside(byte)).count();
    bytes.splice(start..start + length, text.bytes());
}

/// Changes one value in a JSON document, or takes one away, or puts one in twice.
pub(crate) fn json(random: &mut Rng, value: &mut Value) {
    match value {
        Value::Object(map) if !map.is_empty() && random.u8(..8) > 0 => {
            let key = map.keys().nth(random.usize(..map.len())).cloned().unwrap_or_default();
            if random.u8(..12) == 0 {
                map.remove(&key);
            } else {
                json(random, &mut map[&key]);
            }
        }
        Value::Array(items) if !items.is_empty() && random.u8(..8) > 0 => {
            let position = random.usize(..items.len());
            match random.u8(..8) {
                0 => drop(items.remove(position)),
                1 => items.insert(position, items[position].clone()),
                2 => items.swap(0, position),
                _ => json(random, &mut items[position]),
            }
        }
        other => {
            let number = NUMBERS[random.usize(..NUMBERS.len())];
            *other = match random.u8(..12) {
                0 => Value::Null,
                1 => Value::Bool(random.bool()),
                2 => Value::String("dense".to_owned()),
                3 => Value::Array(Vec::new()),
                // A number beyond those of JSON's reader stays text.
                _ => serde_json::from_str(number).unwrap_or_else(|_| number.into()),
            };
        }
    }
}
