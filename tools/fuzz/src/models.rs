//! Model files.

use std::collections::HashMap;
use std::fs;

use fastrand::Rng;
use helpers::prelude::*;
use safetensors::SafeTensors;
use serde_json::{Map, Value, json};

use crate::{bounded, check_message, mutate, scratch, write};

/// Takes the input as a model file; a model that loads is written and read again.
pub(crate) fn run(input: &[u8]) {
    let folder = scratch();
    write(&folder, "model.safetensors", input);
    let path = folder.path().join("model.safetensors");
    let model = match bounded(input.len(), || Model::load(&path)) {
        Err(error) => return check_message(&error, "model.safetensors"),
        Ok(model) => model,
    };
    assert!(model.count_trainable() <= model.count_params());
    assert!(model.bottleneck().values <= model.bottleneck().image_values);
    assert!(format!("{model:?}").contains(&format!("{} parameters", model.count_params())));

    let copy = folder.path().join("copy.safetensors");
    model.save(&copy).expect("a model that loads can be written");
    let again = Model::load(&copy).expect("what was written can be read");
    assert_eq!(again.network(), model.network());
    assert_eq!(again.outputs(), model.outputs());
    let written = fs::read(&copy).expect("it was just read");
    let values: usize = same_tensors(input, &written);
    assert_eq!(values, model.count_params());
    again.save(&path).expect("a model that loads can be written");
    let rewritten = fs::read(&path).expect("it was just written");
    same_tensors(&written, &rewritten);
    assert_eq!(metadata(&written), metadata(&rewritten), "reading and writing changed it");
}

/// Every tensor of `copy` is in `original`, bit by bit; gives the number of their values.
fn same_tensors(original: &[u8], copy: &[u8]) -> usize {
    let original = SafeTensors::deserialize(original).expect("it was loaded");
    let copy = SafeTensors::deserialize(copy).expect("it was written");
    let mut values = 0;
    for (name, tensor) in copy.tensors() {
        let before = original.tensor(&name).expect("the tensor that was loaded");
        assert_eq!(tensor.dtype(), before.dtype(), "{name}");
        assert_eq!(tensor.shape(), before.shape(), "{name}");
        assert!(tensor.data() == before.data(), "{name} has other values");
        values += tensor.shape().iter().product::<usize>();
    }
    values
}

fn metadata(bytes: &[u8]) -> HashMap<String, String> {
    let (_, metadata) = SafeTensors::read_metadata(bytes).expect("it was written");
    metadata.metadata().clone().expect("settings")
}

const TOKENS: &[&str] = &[
    "\"F32\"",
    "\"F64\"",
    "\"BOOL\"",
    "\"shape\":[]",
    "\"data_offsets\":[0,0]",
    "\\\"relu\\\"",
    "\\\"flatten\\\"",
    "{\\\"residual\\\":[]}",
    "{\\\"max_pool2d\\\":{\\\"size\\\":2}}",
    "__metadata__",
    "config",
    "[1,4,4]",
    "null",
];

/// A changed copy, usually with its checksum taken out and its lengths set right again.
pub(crate) fn mutate(random: &mut Rng, input: &[u8]) -> Vec<u8> {
    let Some((mut header, data)) = parts(input) else {
        return mutate::bytes(random, input, TOKENS);
    };
    if random.bool() {
        return repaired(mutate::bytes(random, input, TOKENS), random.u8(..4) > 0);
    }
    let text = |header: &Map<String, Value>, key: &str| {
        let text = header.get("__metadata__")?.get(key)?.as_str()?;
        serde_json::from_str::<Value>(text).ok()
    };
    let keys = ["config", "state"].map(|key| (key, text(&header, key)));
    match keys.into_iter().find_map(|(key, value)| Some((key, value?))) {
        Some((key, mut settings)) if random.u8(..4) > 0 => {
            mutate::json(random, &mut settings);
            header["__metadata__"][key] = settings.to_string().into();
        }
        _ => {
            let mut value = Value::Object(header);
            mutate::json(random, &mut value);
            header = value.as_object().cloned().unwrap_or_default();
        }
    }
    repaired(joined(&header, data), true)
}

/// A safetensors file's header and data. The length before the header need not be right.
pub(crate) fn parts(bytes: &[u8]) -> Option<(Map<String, Value>, &[u8])> {
    let rest = bytes.get(8..)?;
    let mut values = serde_json::Deserializer::from_slice(rest).into_iter::<Map<String, Value>>();
    let header = values.next()?.ok()?;
    let data = rest[values.byte_offset()..].trim_ascii_start();
    // As far as it can be known where the blanks end that fill the header up.
    let length = u64::from_le_bytes(bytes[..8].try_into().ok()?);
    let data = usize::try_from(length).ok().and_then(|length| rest.get(length..)).unwrap_or(data);
    Some((header, data))
}

/// The file of a header and data.
pub(crate) fn joined(header: &Map<String, Value>, data: &[u8]) -> Vec<u8> {
    let mut text = Value::Object(header.clone()).to_string();
    text.push_str(&" ".repeat(text.len().next_multiple_of(8) - text.len()));
    [&(text.len() as u64).to_le_bytes(), text.as_bytes(), data].concat()
}

fn repaired(bytes: Vec<u8>, lengths: bool) -> Vec<u8> {
    let Some((mut header, data)) = parts(&bytes).filter(|_| lengths) else { return bytes };
    if let Some(Value::Object(metadata)) = header.get_mut("__metadata__") {
        metadata.remove("sha256");
    }
    let mut end = 0;
    for (_, tensor) in header.iter_mut().filter(|(name, _)| *name != "__metadata__") {
        let sides = tensor.get("shape").and_then(Value::as_array).into_iter().flatten();
        let bytes = match tensor.get("dtype").and_then(Value::as_str) {
            Some("F32") => 4_u64,
            Some("F64") => 8,
            _ => 1,
        };
        let bytes = sides.fold(bytes, |bytes, side| {
            bytes.saturating_mul(side.as_u64().unwrap_or(1)).min(1 << 14)
        });
        if let Some(offsets) = tensor.get_mut("data_offsets") {
            *offsets = json!([end, end + bytes]);
            end += bytes;
        }
    }
    let mut data = data.to_vec();
    data.resize(end as usize, 0x3d);
    joined(&header, &data)
}
