//! The benchmark's charts, drawn as those of the notebooks are.

use std::path::PathBuf;

use helpers::Result;
use helpers::plot::{BarChart, LineChart};
use serde::Deserialize;
use serde_json::{Value, json};

/// A chart and where its picture goes.
#[derive(Debug, Deserialize)]
pub(crate) struct Spec {
    path: PathBuf,
    title: String,
    #[serde(flatten)]
    kind: Kind,
}

#[derive(Debug, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
enum Kind {
    /// A bar for each name.
    Bars { value_name: String, names: Vec<String>, values: Vec<f64> },
    /// Lines over a common axis, and points without a line.
    Lines {
        x_name: String,
        y_name: String,
        log_x: bool,
        log_y: bool,
        lines: Vec<Line>,
        #[serde(default)]
        points: Vec<Line>,
    },
}

#[derive(Debug, Deserialize)]
struct Line {
    name: String,
    x: Vec<f64>,
    y: Vec<f64>,
}

impl Spec {
    /// Draws and saves; gives the alternative text.
    pub(crate) fn run(self) -> Result<Value> {
        let figure = match self.kind {
            Kind::Bars { value_name, names, values } => {
                BarChart::new(self.title, &value_name, &names).bars(&value_name, &values).plot()?
            }
            Kind::Lines { x_name, y_name, log_x, log_y, lines, points } => {
                let mut chart = LineChart::new(self.title, x_name, y_name);
                chart = if log_x { chart.log_x() } else { chart };
                chart = if log_y { chart.log_y() } else { chart };
                let chart =
                    lines.iter().fold(chart, |chart, of| chart.line(&of.name, &of.x, &of.y));
                let chart =
                    points.iter().fold(chart, |chart, of| chart.points(&of.name, &of.x, &of.y));
                chart.plot()?
            }
        };
        figure.save(&self.path)?;
        Ok(json!({ "alt": figure.alt_text() }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_chart_is_saved_and_says_in_words_what_it_shows() {
        let folder = std::env::temp_dir().join(format!("bench-chart-{}", std::process::id()));
        let path = folder.join("chart.png");
        let lines = json!({
            "path": path, "title": "Threads", "kind": "lines", "x_name": "Threads", "y_name": "Milliseconds an image",
            "log_x": false, "log_y": false, "lines": [{"name": "helpers", "x": [1.0, 2.0], "y": [4.0, 2.5]}],
            "points": [{"name": "PyTorch", "x": [1.0], "y": [5.0]}],
        });
        let bars = json!({
            "path": path, "title": "CNN: training", "kind": "bars", "value_name": "Training (images/s)",
            "names": ["helpers", "Keras"], "values": [40.0, 10.0],
        });
        for (spec, words) in [
            (
                lines,
                ["Threads", "Milliseconds an image", "helpers from 4 to 2.5, PyTorch from 5 to 5"],
            ),
            (bars, ["CNN: training", "Training (images/s)", "Keras"]),
        ] {
            let result = serde_json::from_value::<Spec>(spec).unwrap().run().unwrap();
            let alt = result["alt"].as_str().unwrap();
            assert!(words.iter().all(|word| alt.contains(word)), "{alt}");
            assert!(std::fs::read(&path).unwrap().starts_with(b"\x89PNG"));
        }
        std::fs::remove_dir_all(folder).unwrap();
    }
}
