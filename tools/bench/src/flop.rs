//! Floating-point operations of a network, counted from its layers.
//!
//! Counted are the products of convolutions and dense layers, a multiplication and an addition as two; everything else
//! is small beside them. Training needs as many again for the gradients of a layer's weights, where they are trained,
//! and for those of its inputs, where a layer before it is trained: three times the prediction for most layers, twice
//! for the first one.

use helpers::layers::Layer;
use helpers::prelude::*;
use serde::Serialize;

/// Operations for one image.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize)]
pub(crate) struct Flop {
    /// Of a prediction.
    pub(crate) predict: f64,
    /// Of a training step, the prediction in it included; what the optimiser does is not.
    pub(crate) train: f64,
}

/// Which weights are trained.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Trained<'a> {
    /// All of them.
    All,
    /// Those from the block of this name on, depthwise convolutions apart.
    DenselyFrom(&'a str),
}

impl Flop {
    /// Counts through `layers`, which take images of this shape.
    pub(crate) fn of(layers: &[Layer], shape: ImageShape, trained: Trained) -> Flop {
        let mut count = Count {
            shape: [shape.channels, shape.height, shape.width].map(|side| side as i64).to_vec(),
            flop: Flop::default(),
            trained,
            begun: trained == Trained::All,
            needs_input_grad: false,
        };
        count.all(layers);
        count.flop
    }
}

/// The operations counted so far.
struct Count<'a> {
    /// The output shape of the last counted layer.
    shape: Vec<i64>,
    flop: Flop,
    trained: Trained<'a>,
    /// True from the first trained layer on.
    begun: bool,
    /// True once a layer is trained: those after it need the gradient of their input.
    needs_input_grad: bool,
}

impl Count<'_> {
    fn all(&mut self, layers: &[Layer]) {
        layers.iter().for_each(|layer| self.layer(layer));
    }

    fn layer(&mut self, layer: &Layer) {
        let output =
            layer.output_shape(&self.shape).expect("a network that was built fits together");
        let outputs = output.iter().product::<i64>();
        match layer {
            Layer::Conv2d(layer) => {
                let depthwise = layer.groups > 1 && self.trained != Trained::All;
                let inputs = layer.kernel_size.pow(2) * self.shape[0] / layer.groups;
                self.products(outputs * inputs, !depthwise);
            }
            Layer::Dense(_) => self.products(outputs * self.shape[0], true),
            Layer::Residual(residual) => self.all(&residual.layers),
            Layer::Block(block) => {
                self.begun |= self.trained == Trained::DenselyFrom(&block.name);
                self.all(&block.layers);
            }
            // The others work on each value by itself.
            _ => {}
        }
        self.shape = output;
    }

    /// Adds a layer with this many multiplications.
    fn products(&mut self, multiplications: i64, can_be_trained: bool) {
        let flop = 2.0 * multiplications as f64;
        let is_trained = self.begun && can_be_trained;
        self.flop.predict += flop;
        self.flop.train += flop
            * (1.0 + f64::from(u8::from(is_trained)) + f64::from(u8::from(self.needs_input_grad)));
        self.needs_input_grad |= is_trained;
    }
}

#[cfg(test)]
mod tests {
    use helpers::architectures::{AutoencoderConfig, CnnConfig, DenseConfig};

    use super::*;

    const GREY: ImageShape = ImageShape { height: 28, width: 28, channels: 1 };

    /// 784 x 512 and so on; the first layer's inputs need no gradient.
    #[test]
    fn a_dense_network_is_counted_by_hand() {
        let network = DenseConfig { hidden: vec![512, 256], ..DenseConfig::default() };
        let flop = Flop::of(network.network(GREY, 10).layers(), GREY, Trained::All);
        let (first, second, last) = (2.0 * 784.0 * 512.0, 2.0 * 512.0 * 256.0, 2.0 * 2560.0);
        assert_eq!(flop.predict, first + second + last);
        assert_eq!(flop.train, 2.0 * first + 3.0 * (second + last));
    }

    /// Pooling quarters the pixels: 28, 14 and 7 a side, 3 at the end.
    #[test]
    fn the_cnn_needs_30_million_for_a_prediction_and_88_to_train() {
        let flop = Flop::of(
            CnnConfig { filters: [32, 64, 128, 128], ..CnnConfig::default() }
                .network(GREY, 10)
                .layers(),
            GREY,
            Trained::All,
        );
        let first = 784.0 * 9.0 * 32.0;
        let inner = 196.0 * 9.0 * 32.0 * 64.0 + 49.0 * 9.0 * (64.0 * 128.0 + 128.0 * 128.0);
        let dense = 9.0 * 128.0 * 128.0 + 1280.0;
        assert_eq!(flop.predict, 2.0 * (first + inner + dense));
        assert_eq!(flop.train, 2.0 * (2.0 * first + 3.0 * (inner + dense)));
    }

    /// A stride halves, upsampling doubles, a depthwise filter sees one channel.
    #[test]
    fn sizes_are_followed_through_strides_blocks_and_groups() {
        let network = AutoencoderConfig::default().network(GREY).unwrap();
        let flop = Flop::of(network.layers(), GREY, Trained::All);
        let down = 196.0 * 25.0 * 32.0 + 49.0 * 9.0 * 32.0 * 64.0;
        let dense = 3136.0 * 512.0 + 512.0 * 78.0 + 78.0 * 512.0 + 512.0 * 3136.0;
        let up = 196.0 * 9.0 * 64.0 * 32.0 + 784.0 * 25.0 * 32.0;
        assert_eq!(flop.predict, 2.0 * (down + dense + up));
    }

    /// The paper gives 0.39 billion multiplications for B0 at 224 pixels; the number below is worked out by hand from its
    /// table 1, for Lite0.
    #[test]
    fn lite0_costs_what_its_table_says_and_less_to_train_from_a_late_block_on() {
        let config = TransferConfig { input_size: 224, ..TransferConfig::default() };
        let layers = config.network(GREY, 1000).unwrap();
        let count = |trained| Flop::of(layers.layers(), GREY, trained);
        let all = count(Trained::All);
        assert_eq!(all.predict, 2.0 * 385_187_552.0);
        let late = count(Trained::DenselyFrom("block_16"));
        let early = count(Trained::DenselyFrom("block_4"));
        assert_eq!(late.predict, all.predict);
        assert!(late.predict < late.train && late.train < early.train && early.train < all.train);
        assert!(early.train < 3.0 * early.predict);
    }
}
