//! The layers of a network, as a table.

use super::shows_its_table;
use crate::display::{Cell, Column, Table};
use crate::models::{Device, Summary};
use crate::text::thousands;

impl Summary {
    /// The summary as a table: a row for each layer, the total last.
    pub fn table(&self) -> Table {
        let columns = [
            Column::text("Layer"),
            Column::text("Kind"),
            Column::text("Output shape"),
            Column::integer("Parameters"),
        ];
        let mut table = Table::new(columns);
        for row in &self.rows {
            table.push([
                Cell::from(row.name.as_str()),
                Cell::from(row.kind),
                Cell::from(row.output_shape.as_str()),
                Cell::Number(row.parameters as f64),
            ]);
        }
        let total = (self.trainable + self.non_trainable) as f64;
        table.push([Cell::from("Total"), Cell::from(""), Cell::from(""), Cell::Number(total)]);
        let device = match self.device {
            Device::Cpu => String::new(),
            device => format!(" Computed on {device}."),
        };
        table.rule_above_last(1).caption(format!(
            "Parameters: {} trainable, {} not trainable. Output shapes leave the number of images out.{device}",
            thousands(self.trainable),
            thousands(self.non_trainable)
        ))
    }
}

shows_its_table!(Summary);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_numbers_of_parameters_have_commas() {
        let (trainable, non_trainable, device) = (1_496_074, 3_840, Device::Cpu);
        let summary = Summary { rows: Vec::new(), trainable, non_trainable, device };
        let text = summary.table().to_text();
        assert!(text.contains("Parameters: 1,496,074 trainable, 3,840 not trainable."), "{text}");
        assert_eq!(summary.to_string(), text);
        let there = Summary { device: Device::Cuda, ..summary.clone() }.to_string();
        assert!(
            there.contains("leave the number of images out. Computed on a GPU (CUDA)."),
            "{there}"
        );
        assert_eq!(format!("{summary:?}"), "Summary: 0 layers, 1,499,914 parameters");
    }
}
