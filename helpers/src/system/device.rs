//! Where networks compute: the processor, or a GPU.

use std::fmt;
use std::sync::OnceLock;

use serde::{Deserialize, Serialize};

use tch::{Kind, Tensor};

use crate::error::{Error, Result};

/// Where a network computes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Device {
    /// [`Device::Cuda`] if libtorch finds a GPU, else [`Device::Cpu`].
    #[default]
    Auto,
    /// The processor, with the fast path of `engine`.
    Cpu,
    /// The processor without the fast path: each layer is computed by libtorch's own operations, as on a GPU. Use it to
    /// compare the two.
    CpuReference,
    /// The first GPU that CUDA shows; the environment variable `CUDA_VISIBLE_DEVICES` chooses another one.
    Cuda,
}

impl Device {
    /// Replaces [`Device::Auto`] by the device it stands for on this machine; other values are unchanged.
    ///
    /// # Errors
    /// If this is [`Device::Cuda`] and libtorch finds no GPU.
    pub fn resolve(self) -> Result<Device> {
        match self {
            Device::Auto if has_cuda() => Ok(Device::Cuda),
            Device::Auto => Ok(Device::Cpu),
            Device::Cuda if !has_cuda() => Err(Error::parameter(
                "device",
                "a device that this machine has",
                format!("cuda: {}", cuda().as_ref().err().map_or("", |problem| problem)),
                "`Device::Auto` takes the processor where there is no GPU",
            )),
            chosen => Ok(chosen),
        }
    }

    /// libtorch's name for it.
    pub(crate) fn tch(self) -> tch::Device {
        match self {
            Device::Cuda => tch::Device::Cuda(0),
            Device::Auto | Device::Cpu | Device::CpuReference => tch::Device::Cpu,
        }
    }

    /// True for the device of `engine`'s fast path, whose loops read a tensor's memory themselves.
    pub(crate) fn is_fused(self) -> bool {
        self == Device::Cpu
    }
}

impl fmt::Display for Device {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Device::Auto => "auto",
            Device::Cpu => "the processor",
            Device::CpuReference => "the processor, without the fast path",
            Device::Cuda => "a GPU (CUDA)",
        })
    }
}

/// Whether there is a GPU that libtorch can compute on.
pub(crate) fn has_cuda() -> bool {
    cuda().is_ok()
}

/// Seeds libtorch's generators, on all devices.
pub(crate) fn manual_seed(seed: i64) {
    // libtorch looks for a GPU when it is seeded and remembers what it found, so its part for CUDA is loaded first.
    let _ = has_cuda();
    tch::manual_seed(seed);
}

/// Computes a product on the GPU, once in a process; the error says why libtorch cannot.
fn cuda() -> &'static Result<(), String> {
    static FOUND: OnceLock<Result<(), String>> = OnceLock::new();
    FOUND.get_or_init(|| {
        load_cuda()?;
        if !tch::Cuda::is_available() {
            return Err("libtorch finds no GPU; `nvidia-smi` should list one".to_owned());
        }
        let product = || -> Result<f64, tch::TchError> {
            let ones = Tensor::f_ones([64, 64], (Kind::BFloat16, tch::Device::Cuda(0)))?;
            ones.f_mm(&ones)?.f_sum(Kind::Float)?.f_double_value(&[])
        };
        match product() {
            Ok(sum) if (sum - 262_144.0).abs() < 0.5 => Ok(()),
            Ok(sum) => Err(format!("the GPU multiplies wrongly: {sum} where 262144 is right")),
            Err(error) => {
                let text = error.to_string();
                Err(format!("the GPU cannot be used: {}", text.lines().next().unwrap_or_default()))
            }
        }
    })
}

/// Loads libtorch's part for CUDA. A linker leaves it out, because no program here names one of its symbols.
#[cfg(target_os = "linux")]
fn load_cuda() -> Result<(), String> {
    let maps = std::fs::read_to_string("/proc/self/maps").unwrap_or_default();
    let libtorch = maps.lines().find_map(|line| {
        line.get(line.find('/')?..).filter(|path| path.ends_with("/libtorch_cpu.so"))
    });
    let beside =
        libtorch.and_then(|path| std::path::Path::new(path).parent()).unwrap_or("".as_ref());
    let library = beside.join("libtorch_cuda.so");
    if !library.exists() {
        return Err(
            "this libtorch was built without CUDA; `cargo xtask setup --cuda` gets the other one"
                .to_owned(),
        );
    }
    let path = std::ffi::CString::new(library.as_os_str().as_encoded_bytes()).unwrap_or_default();
    // SAFETY: the path ends with a zero. What runs when the library is loaded is libtorch's own, as if this program had
    // been linked with it. `dlerror` gives a text that ends with a zero, or nothing.
    let problem = unsafe {
        if !libc::dlopen(path.as_ptr(), libc::RTLD_LAZY | libc::RTLD_GLOBAL).is_null() {
            return Ok(());
        }
        match libc::dlerror() {
            text if text.is_null() => "unknown".into(),
            text => std::ffi::CStr::from_ptr(text).to_string_lossy().into_owned(),
        }
    };
    Err(format!("libtorch's part for CUDA cannot be loaded: {problem}"))
}

/// Only the wheels for Linux have a part for CUDA.
#[cfg(not(target_os = "linux"))]
fn load_cuda() -> Result<(), String> {
    Err("libtorch computes on GPUs under Linux alone".to_owned())
}

/// Whether a GPU is used, or why not, in a sentence.
pub(crate) fn about_gpu() -> String {
    match cuda() {
        Ok(()) => "libtorch computes on it".to_owned(),
        Err(problem) => problem.clone(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_gpu_that_is_not_there_is_refused_and_not_replaced() {
        let found = Device::Cuda.resolve();
        match has_cuda() {
            true => assert_eq!(found.unwrap(), Device::Cuda),
            false => {
                let text = found.unwrap_err().to_string();
                assert!(
                    text.starts_with("`device` must be a device that this machine has, got cuda"),
                    "{text}"
                );
            }
        }
        let expected = if has_cuda() { Device::Cuda } else { Device::Cpu };
        assert_eq!(Device::Auto.resolve().unwrap(), expected);
    }
}
