//! The network that a search tunes, and how a combination of parameters becomes its settings.

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::grid::Parameters;
use crate::architectures::{CnnConfig, DenseConfig};
use crate::data::ImageShape;
use crate::error::{Error, Result};
use crate::layers::Initializer;
use crate::models::Sequential;
use crate::text::clean_text;
use crate::training::FitConfig;

/// The network that is tuned, with the settings that the grid leaves alone.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Network {
    /// The dense network of notebook 4.
    Dense(DenseConfig),
    /// The convolutional network of notebook 6.
    Cnn(CnnConfig),
}

impl Default for Network {
    fn default() -> Network {
        Network::Dense(DenseConfig::default())
    }
}

impl Network {
    /// The network of this name, `dense` or `cnn`, with its default settings.
    ///
    /// # Errors
    /// If the name is neither.
    pub fn from_name(name: &str) -> Result<Network> {
        match name {
            "dense" => Ok(Network::Dense(DenseConfig::default())),
            "cnn" => Ok(Network::Cnn(CnnConfig::default())),
            other => Err(Error::parameter(
                "network",
                "`dense` or `cnn`",
                format!("`{}`", clean_text(other)),
                "`dense` is the baseline of notebook 4",
            )),
        }
    }

    /// `dense` or `cnn`.
    pub fn name(&self) -> &'static str {
        match self {
            Network::Dense(_) => "dense",
            Network::Cnn(_) => "cnn",
        }
    }

    /// The layers for images of this shape.
    pub fn network(&self, shape: ImageShape, classes: usize) -> Sequential {
        match self {
            Network::Dense(config) => config.network(shape, classes),
            Network::Cnn(config) => config.network(shape, classes),
        }
    }

    /// This network and this training, with these parameters instead of their own.
    ///
    /// A name is a field of the network's settings ([`DenseConfig`], [`CnnConfig`]) or of [`FitConfig`];
    /// `kernel_initializer` also takes Keras's names for the initializers.
    ///
    /// # Errors
    /// If neither has a field with a name, or a value is not allowed.
    pub fn with(&self, fit: &FitConfig, params: &Parameters) -> Result<(Network, FitConfig)> {
        let (mut network, mut fit) = (self.clone(), fit.clone());
        for (name, value) in params {
            let mut value = value.clone();
            if let ("kernel_initializer", Value::String(text)) = (name.as_str(), &value) {
                value = as_json(&Initializer::from_name(text)?)?;
            }
            let known = match &mut network {
                Network::Dense(config) => set(config, name, &value)?,
                Network::Cnn(config) => set(config, name, &value)?,
            };
            if !known && !set(&mut fit, name, &value)? {
                return Err(Error::parameter(
                    "param_grid",
                    format!("names among {}", self.names(&fit)?.join(", ")),
                    format!("`{}`", clean_text(name)),
                    format!("these are the settings of the {} network and of `fit`", self.name()),
                ));
            }
        }
        Ok((network, fit))
    }

    /// Every name that [`Network::with`] takes.
    fn names(&self, fit: &FitConfig) -> Result<Vec<String>> {
        let own = match self {
            Network::Dense(config) => as_json(config)?,
            Network::Cnn(config) => as_json(config)?,
        };
        let maps = [own, as_json(fit)?];
        let maps = maps.iter().filter_map(Value::as_object);
        Ok(maps.flat_map(|map| map.keys().cloned()).collect())
    }
}

fn as_json(config: &impl Serialize) -> Result<Value> {
    serde_json::to_value(config).map_err(Error::internal)
}

/// Sets one field; returns false if there is none with this name.
fn set<T: Serialize + DeserializeOwned>(config: &mut T, name: &str, value: &Value) -> Result<bool> {
    let mut map = as_json(config)?;
    let Some(field) = map.get_mut(name) else { return Ok(false) };
    *field = value.clone();
    *config = serde_json::from_value(map).map_err(|error| {
        Error::parameter(
            "param_grid",
            format!("a value that fits `{}`", clean_text(name)),
            clean_text(&value.to_string()),
            clean_text(&error.to_string()),
        )
    })?;
    Ok(true)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tuning::ParameterGrid;

    fn with(network: &str, grid: ParameterGrid) -> Result<(Network, FitConfig)> {
        let params = grid.combinations()?.remove(0);
        Network::from_name(network)?.with(&FitConfig::default(), &params)
    }

    #[test]
    fn parameters_reach_the_network_and_the_training() {
        let grid = ParameterGrid::new()
            .parameter("dropout", [0.25])
            .parameter("kernel_initializer", ["random_normal"])
            .parameter("batch_size", [64]);
        for name in ["dense", "cnn"] {
            let (network, fit) = with(name, grid.clone()).unwrap();
            let (dropout, initializer) = match network {
                Network::Dense(config) => (config.dropout, config.kernel_initializer),
                Network::Cnn(config) => (config.dropout, config.kernel_initializer),
            };
            assert_eq!((dropout, fit.batch_size), (0.25, 64));
            assert_eq!(initializer, Initializer::RandomNormal { stddev: 0.05 });
        }
    }

    #[test]
    fn a_name_that_nothing_has_is_refused_with_those_there_are() {
        let text =
            with("dense", ParameterGrid::new().parameter("droput", [0.1])).unwrap_err().to_string();
        assert!(
            text.contains("dropout, hidden, kernel_initializer, ") && text.contains("`droput`"),
            "{text}"
        );
        let text = with("cnn", ParameterGrid::new().parameter("dropout", ["much"]))
            .unwrap_err()
            .to_string();
        assert!(text.contains("a value that fits `dropout`, got \"much\""), "{text}");
        let grid = ParameterGrid::new().parameter("kernel_initializer", ["he"]);
        let text = with("dense", grid).unwrap_err().to_string();
        assert!(text.contains("one of zeros, ones") && text.contains("got \"he\""), "{text}");
        assert!(
            with("forest", ParameterGrid::new())
                .unwrap_err()
                .to_string()
                .contains("`dense` or `cnn`")
        );
    }
}
