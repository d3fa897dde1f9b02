//! Model files.

use std::collections::{BTreeMap, HashMap};
use std::fs;

use fastrand::Rng;
use helpers::models::Model;
use safetensors::SafeTensors;
use serde_json::{Map, Value, json};
use sha2::{Digest, Sha256};

use crate::common::{bounded, check_message, scratch, write};
use crate::mutate;

/// Takes the input as a model file, as it is and with its checksum set right; a model that loads is written and read
/// again.
pub(crate) fn run(input: &[u8]) {
    let folder = scratch();
    let path = folder.path().join("model.safetensors");
    let load = |input: &[u8]| {
        write(&folder, "model.safetensors", input);
        bounded(input.len(), || Model::load(&path))
    };
    if let Err(error) = load(input) {
        check_message(&error, "model.safetensors");
    }
    let input = &sealed(input);
    let model = match load(input) {
        Err(error) => {
            let text = error.to_string();
            assert!(!text.contains("contents with the checksum"), "another checksum here: {text}");
            return check_message(&error, "model.safetensors");
        }
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
    "{\\\"relu\\\":null}",
    "{\\\"flatten\\\":null}",
    "{\\\"residual\\\":{\\\"layers\\\":[]}}",
    "{\\\"max_pooling2d\\\":{\\\"pool_size\\\":2}}",
    "__metadata__",
    "config",
    "[1,4,4]",
    "null",
];

/// A changed copy, usually with its lengths set right again.
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
    // The header's declared length says where its padding ends, if it is in range.
    let length = u64::from_le_bytes(bytes[..8].try_into().ok()?);
    let data = usize::try_from(length).ok().and_then(|length| rest.get(length..)).unwrap_or(data);
    Some((header, data))
}

/// The file with the checksum that its contents have: without it nothing would get past that check. One that is no
/// safetensors file stays as it is.
///
/// The checksum is worked out here once more, from what `helpers` says of it.
pub(crate) fn sealed(bytes: &[u8]) -> Vec<u8> {
    let Some((mut header, data)) = parts(bytes) else { return bytes.to_vec() };
    let (Ok((_, metadata)), Ok(tensors)) =
        (SafeTensors::read_metadata(bytes), SafeTensors::deserialize(bytes))
    else {
        return bytes.to_vec();
    };
    let mut hash = Sha256::new();
    let mut add = |bytes: &[u8]| {
        hash.update((bytes.len() as u64).to_le_bytes());
        hash.update(bytes);
    };
    let texts: BTreeMap<String, String> = metadata
        .metadata()
        .iter()
        .flatten()
        .map(|(key, text)| (key.clone(), text.clone()))
        .collect();
    for (key, text) in texts.iter().filter(|(key, _)| *key != "sha256") {
        add(key.as_bytes());
        add(text.as_bytes());
    }
    let named = tensors.tensors();
    let mut named: Vec<_> =
        named.iter().map(|(name, view)| (&name[..], view.shape(), view.data())).collect();
    named.sort();
    for (name, shape, data) in named {
        add(name.as_bytes());
        add(format!("{shape:?}").as_bytes());
        add(data);
    }
    let metadata = header.entry("__metadata__").or_insert_with(|| json!({}));
    metadata["sha256"] = format!("{:x}", hash.finalize()).into();
    joined(&header, data)
}

/// The file of a header and data.
pub(crate) fn joined(header: &Map<String, Value>, data: &[u8]) -> Vec<u8> {
    let mut text = Value::Object(header.clone()).to_string();
    text.push_str(&" ".repeat(text.len().next_multiple_of(8) - text.len()));
    [&(text.len() as u64).to_le_bytes(), text.as_bytes(), data].concat()
}

fn repaired(bytes: Vec<u8>, lengths: bool) -> Vec<u8> {
    let Some((mut header, data)) = parts(&bytes).filter(|_| lengths) else { return bytes };
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
