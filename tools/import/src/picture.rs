//! Reads one picture completely, applies its orientation, and resizes it to the common size.

use std::fs;
use std::io::Cursor;
use std::path::Path;
use std::str::FromStr;

use fast_image_resize::images::{Image, ImageRef};
use fast_image_resize::{FilterType, PixelType, ResizeAlg, ResizeOptions, Resizer};
use image::metadata::Orientation;
use image::{DynamicImage, ImageDecoder, ImageFormat, ImageReader};
use serde::{Deserialize, Serialize};

/// How a picture of another aspect ratio is fitted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Fit {
    /// Its largest centred part with the requested aspect ratio: Keras's `crop_to_aspect_ratio`.
    Crop,
    /// The whole picture, between black bars: Keras's `pad_to_aspect_ratio`.
    Pad,
    /// The whole picture, stretched.
    Stretch,
}

impl FromStr for Fit {
    type Err = String;

    fn from_str(text: &str) -> Result<Fit, String> {
        match text {
            "crop" => Ok(Fit::Crop),
            "pad" => Ok(Fit::Pad),
            "stretch" => Ok(Fit::Stretch),
            _ => Err(format!("it takes `crop`, `pad` or `stretch`, got `{text}`")),
        }
    }
}

/// The pixels of the picture in this file, row after row, height × width of one value if `grey`, else of three.
///
/// # Errors
/// Why it is left out: it cannot be read, is truncated, or is not a picture.
pub fn read(
    path: &Path,
    [height, width]: [usize; 2],
    grey: bool,
    fit: Fit,
) -> Result<Vec<u8>, String> {
    let bytes = fs::read(path).map_err(|error| error.to_string())?;
    let pixels = resized(&on_white(&decode(&bytes)?), [height as u32, width as u32], fit)?;
    Ok(if grey { to_grey(&pixels) } else { pixels })
}

fn decode(bytes: &[u8]) -> Result<DynamicImage, String> {
    let said = |error: image::ImageError| error.to_string();
    let reader = ImageReader::new(Cursor::new(bytes)).with_guessed_format();
    let reader = reader.map_err(|error| error.to_string())?;
    if reader.format() == Some(ImageFormat::Jpeg) && !is_whole_jpeg(bytes) {
        return Err("the file is cut off".to_owned());
    }
    let mut decoder = reader.into_decoder().map_err(said)?;
    let orientation = decoder.orientation().unwrap_or(Orientation::NoTransforms);
    let mut picture = DynamicImage::from_decoder(decoder).map_err(said)?;
    picture.apply_orientation(orientation);
    Ok(picture)
}

/// Whether the end marker comes after the last start of scan: the decoder would fill missing data with grey. Neither
/// marker can occur inside a scan.
fn is_whole_jpeg(bytes: &[u8]) -> bool {
    let last = |mark: u8| bytes.windows(2).rposition(|pair| pair == [0xff, mark]);
    last(0xd9) > last(0xda)
}

/// 8-bit RGB; transparent pixels are blended with white.
fn on_white(picture: &DynamicImage) -> image::RgbImage {
    if !picture.color().has_alpha() {
        return picture.to_rgb8();
    }
    let over = picture.to_rgba8();
    image::RgbImage::from_fn(over.width(), over.height(), |x, y| {
        let [r, g, b, alpha] = over.get_pixel(x, y).0.map(u32::from);
        image::Rgb([r, g, b].map(|value| ((value * alpha + 255 * (255 - alpha) + 127) / 255) as u8))
    })
}

/// Each new pixel is the mean of the pixels that it covers, with triangular weights: Pillow's `BILINEAR`.
fn resized(
    picture: &image::RgbImage,
    [height, width]: [u32; 2],
    fit: Fit,
) -> Result<Vec<u8>, String> {
    let said = |error: &dyn std::error::Error| error.to_string();
    let [rows, columns] = [picture.height(), picture.width()];
    let source = ImageRef::new(columns, rows, picture.as_raw(), PixelType::U8x3)
        .map_err(|error| said(&error))?;
    let options = ResizeOptions::new().resize_alg(ResizeAlg::Convolution(FilterType::Bilinear));
    let [from_y, from_x, to_y, to_x] = [rows, columns, height, width].map(f64::from);
    let (options, inner) = match fit {
        Fit::Stretch => (options, [height, width]),
        Fit::Crop => {
            let (high, wide) = (from_y.min(from_x * to_y / to_x), from_x.min(from_y * to_x / to_y));
            let (top, left) = ((from_y - high) / 2.0, (from_x - wide) / 2.0);
            (options.crop(left, top, wide, high), [height, width])
        }
        Fit::Pad => {
            let scale = (to_x / from_x).min(to_y / from_y);
            let scaled = |length: u32| ((f64::from(length) * scale).round() as u32).max(1);
            (options, [scaled(rows), scaled(columns)])
        }
    };
    let mut small = Image::new(inner[1], inner[0], PixelType::U8x3);
    Resizer::new().resize(&source, &mut small, &options).map_err(|error| said(&error))?;
    if inner == [height, width] {
        return Ok(small.into_vec());
    }
    let [top, left] = [(height - inner[0]) / 2, (width - inner[1]) / 2].map(|side| side as usize);
    let (row, width) = (3 * inner[1] as usize, width as usize);
    let mut whole = vec![0; 3 * width * height as usize];
    for (index, pixels) in small.buffer().chunks(row).enumerate() {
        let start = 3 * ((top + index) * width + left);
        whole[start..start + row].copy_from_slice(pixels);
    }
    Ok(whole)
}

/// Brightness as in Pillow's mode `L` (ITU-R BT.601).
fn to_grey(pixels: &[u8]) -> Vec<u8> {
    let (pixels, _) = pixels.as_chunks::<3>();
    let brightness = |&[r, g, b]: &[u8; 3]| {
        ((19_595 * u32::from(r) + 38_470 * u32::from(g) + 7_471 * u32::from(b) + 0x8000) >> 16)
            as u8
    };
    pixels.iter().map(brightness).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Two pixels: black on the left, white on the right.
    fn wide() -> image::RgbImage {
        image::RgbImage::from_fn(4, 2, |x, _| image::Rgb([if x < 2 { 0 } else { 255 }; 3]))
    }

    #[test]
    fn a_wide_picture_is_cropped_padded_or_stretched() {
        let row = |fit: Fit| -> Vec<u8> {
            let pixels = resized(&wide(), [2; 2], fit).unwrap();
            pixels.chunks(3).map(|pixel| pixel[0]).collect()
        };
        assert_eq!(row(Fit::Crop), [0, 255, 0, 255]);
        let [left, right, ..] = row(Fit::Stretch)[..] else { unreachable!() };
        assert!(left < 64 && right > 191, "{left} {right}");
        // One row of pixels, and one of black.
        let padded = row(Fit::Pad);
        assert!(padded.contains(&0) && padded.iter().any(|&value| value > 191), "{padded:?}");
    }

    #[test]
    fn what_is_wanted_need_be_no_square() {
        // Four columns and two rows have the same aspect ratio: nothing is cropped, and no bars are needed.
        for fit in [Fit::Crop, Fit::Pad, Fit::Stretch] {
            assert_eq!(resized(&wide(), [2, 4], fit).unwrap(), wide().into_raw(), "{fit:?}");
        }
        // Taller than wide: the middle two columns, or all four in a quarter of the height.
        let cropped = resized(&wide(), [4, 4], Fit::Crop).unwrap();
        assert_eq!((cropped.len(), cropped[0], cropped[9]), (48, 0, 255));
        let padded = resized(&wide(), [4, 2], Fit::Pad).unwrap();
        assert_eq!((padded.len(), &padded[..6], &padded[18..]), (24, &[0; 6][..], &[0; 6][..]));
    }

    #[test]
    fn the_end_of_a_thumbnail_is_not_the_end_of_the_picture() {
        let thumbnail = [0xff, 0xd8, 0xff, 0xda, 1, 0xff, 0xd9];
        let picture = [&thumbnail[..], &[0xff, 0xda, 2, 3]].concat();
        assert!(!is_whole_jpeg(&picture));
        assert!(is_whole_jpeg(&[&picture[..], &[0xff, 0xd9]].concat()));
        assert!(!is_whole_jpeg(&[]));
    }

    #[test]
    fn what_is_transparent_becomes_white() {
        let glass =
            DynamicImage::ImageRgba8(image::RgbaImage::from_pixel(1, 1, image::Rgba([0, 0, 0, 0])));
        assert_eq!(on_white(&glass).as_raw(), &[255, 255, 255]);
        let half = DynamicImage::ImageRgba8(image::RgbaImage::from_pixel(
            1,
            1,
            image::Rgba([0, 255, 0, 128]),
        ));
        assert_eq!(on_white(&half).as_raw(), &[127, 255, 127]);
    }
}
