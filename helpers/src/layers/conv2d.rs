//! Convolution.

use serde::{Deserialize, Serialize};
use tch::Tensor;

use super::{Initializer, Operation, Weight, WeightSpec, at_least_one, cast, image};
use crate::error::Result;

/// Convolution with a square kernel and "same" padding: Keras's `Conv2D(padding="same")`, and its `DepthwiseConv2D` where
/// `groups` is the number of channels. The kernel is `(filters, channels / groups, side, side)`, as in PyTorch.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Conv2d {
    /// Output channels.
    pub filters: i64,
    /// Side of the square kernel.
    pub kernel_size: i64,
    /// Step between neighbouring outputs.
    pub strides: i64,
    /// 1 for a full convolution; the number of channels for a depthwise one.
    pub groups: i64,
    /// If a bias is added.
    pub use_bias: bool,
    /// How the kernel is first drawn; a bias begins at 0.
    pub kernel_initializer: Initializer,
}

impl Conv2d {
    /// Rows of zeros that "same" padding adds before and after a side of this length. If the number is odd, one more
    /// goes after (below and to the right), as in TensorFlow.
    fn same_padding(length: i64, kernel_size: i64, strides: i64) -> [i64; 2] {
        let added = (((length - 1) / strides) * strides + kernel_size - length).max(0);
        [added / 2, added - added / 2]
    }
}

impl Operation for Conv2d {
    fn kind(&self) -> &'static str {
        if self.groups > 1 { "depthwise_conv2d" } else { "conv2d" }
    }

    fn output_shape(&self, input: &[i64]) -> std::result::Result<Vec<i64>, String> {
        let Conv2d { filters, kernel_size, strides, groups, .. } = *self;
        let [channels, height, width] = image(input)?;
        at_least_one("filters", filters)?;
        at_least_one("kernel_size", kernel_size)?;
        at_least_one("strides", strides)?;
        at_least_one("groups", groups)?;
        if channels % groups != 0 || filters % groups != 0 {
            return Err(format!(
                "{channels} channels and {filters} filters do not divide into {groups} groups"
            ));
        }
        self.kernel_initializer.check().map_err(|error| error.to_string())?;
        Ok(vec![filters, (height - 1) / strides + 1, (width - 1) / strides + 1])
    }

    fn weights(&self, input: &[i64]) -> Vec<WeightSpec> {
        let shape = [self.filters, input[0] / self.groups, self.kernel_size, self.kernel_size];
        let kernel = WeightSpec::kernel(&shape, self.kernel_initializer);
        let bias = WeightSpec::new("bias", &[self.filters], Initializer::Zeros);
        std::iter::once(kernel).chain(self.use_bias.then_some(bias)).collect()
    }

    fn kept_values(&self, input: &[i64], weights: &[Weight]) -> i64 {
        if weights[0].trainable { input.iter().product() } else { 0 }
    }

    fn forward(&self, input: &Tensor, weights: &[Weight], _training: bool) -> Result<Tensor> {
        let kernel = cast(&weights[0].tensor, input.kind())?;
        let bias = weights.get(1).map(|bias| cast(&bias.tensor, input.kind())).transpose()?;
        let size = input.size();
        let [top, bottom] = Conv2d::same_padding(size[2], self.kernel_size, self.strides);
        let [left, right] = Conv2d::same_padding(size[3], self.kernel_size, self.strides);
        let padded = input.f_constant_pad_nd([left, right, top, bottom])?;
        let strides = [self.strides; 2];
        Ok(padded.f_conv2d(&kernel, bias.as_ref(), strides, [0, 0], [1, 1], self.groups)?)
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::run;
    use super::*;

    const KERNEL: &[f32] = &[1., 2., 3., 4., 5., 6., 7., 8., 9.];

    fn layer(strides: i64) -> Conv2d {
        Conv2d {
            filters: 1,
            kernel_size: 3,
            strides,
            groups: 1,
            use_bias: true,
            kernel_initializer: Initializer::Zeros,
        }
    }

    #[test]
    fn the_size_stays_and_zeros_are_padded() {
        let output = run(layer(1), &[1., 0., 0., 0., 0., 2.], &[1, 2, 3], &[KERNEL, &[0.5]], false);
        // The 1 at the top left meets the kernel's centre, left, ... ; the 2 at the bottom right likewise.
        assert_eq!(
            output,
            [5.5, 4.0 + 2.0 * 9.0 + 0.5, 2.0 * 8.0 + 0.5, 2.5, 1.0 + 2.0 * 6.0 + 0.5, 10.5]
        );
    }

    /// TensorFlow pads an even side of a strided convolution below and to the right alone.
    #[test]
    fn strides_on_an_even_side_pad_after() {
        let output = run(layer(2), &[1., 10., 100., 1000.], &[1, 2, 2], &[KERNEL, &[0.0]], false);
        assert_eq!(output, [1. + 20. + 400. + 5000.]);
    }

    #[test]
    fn a_depthwise_filter_sees_its_own_channel() {
        let layer = Conv2d { filters: 2, kernel_size: 1, groups: 2, use_bias: false, ..layer(1) };
        assert_eq!(layer.kind(), "depthwise_conv2d");
        let output = run(layer, &[1., 2., 3., 4.], &[2, 1, 2], &[&[10.0, 100.0]], false);
        assert_eq!(output, [10.0, 20.0, 300.0, 400.0]);
    }
}
