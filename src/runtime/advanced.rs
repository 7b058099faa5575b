//! What a runtime may use of the kernel, and what it does without that.

use crate::Error;
use crate::feature::{Feature, FeatureSet};
use crate::sys::{FallbackStrategy, Policy};

/// Switches features of the kernel off, and says what then happens: given to [`Builder::advanced`](super::Builder::advanced).
///
/// By default a runtime uses all that makes it faster without being asked; [`Features`](crate::Features) lists it. What has a
/// price, or needs a number, is switched on by a method of the builder: [`Feature::Sqpoll`] by [`sqpoll`](super::Builder::sqpoll),
/// [`Feature::Napi`] by [`napi`](super::Builder::napi), [`Feature::MinWait`] by [`min_wait`](super::Builder::min_wait),
/// [`Feature::KernelWorkers`] by [`kernel_workers`](super::Builder::kernel_workers). [`Feature::Iopoll`] cannot be: a ring with it
/// serves direct reads and writes, and nothing else.
///
/// A feature that is switched off looks absent to everything. The environment variable `SAFERRING_DISABLE` does the same to all
/// runtimes of a process, without another build: `SAFERRING_DISABLE=multishot_recv,send_zc`, or
/// `SAFERRING_DISABLE=kernel-6.0` for all that is newer than Linux 6.0.
///
/// # Examples
///
/// ```
/// use saferring::Feature;
/// use saferring::runtime::{AdvancedConfig, Builder, FallbackStrategy};
///
/// let config = AdvancedConfig::new()
///     .disable(Feature::SendZc)
///     .fallback(FallbackStrategy::Warn);
/// let runtime = Builder::new().advanced(config).build()?;
/// println!("{}", runtime.features());
/// # Ok::<_, saferring::Error>(())
/// ```
#[derive(Clone, Copy, Debug, Default)]
#[must_use = "it does nothing until a builder has it"]
pub struct AdvancedConfig {
    disabled: FeatureSet,
    fallback: FallbackStrategy,
}

impl AdvancedConfig {
    /// Nothing is switched off, and what is absent is done another way.
    pub fn new() -> Self {
        Self::default()
    }

    /// Switches a feature off.
    pub fn disable(mut self, feature: Feature) -> Self {
        self.disabled = self.disabled.with(feature);
        self
    }

    /// Takes [`disable`](AdvancedConfig::disable) back. It does not overrule `SAFERRING_DISABLE`.
    pub fn enable(mut self, feature: Feature) -> Self {
        self.disabled = self.disabled.without(feature);
        self
    }

    /// Switches off all that is newer than a version of Linux, which is given as in `"6.0"`: so a program can be tried as it
    /// runs there.
    ///
    /// # Errors
    ///
    /// If that is no version.
    pub fn disable_newer_than(mut self, kernel: &str) -> Result<Self, Error> {
        let newer = FeatureSet::parse(&format!("kernel-{kernel}"))?;
        self.disabled = self.disabled.and(newer);
        Ok(self)
    }

    /// What happens where a feature is not to be had, whether the kernel lacks it or somebody has switched it off.
    pub fn fallback(mut self, strategy: FallbackStrategy) -> Self {
        self.fallback = strategy;
        self
    }

    /// With what the environment says.
    pub(super) fn policy(self) -> Result<Policy, Error> {
        let by_environment = match std::env::var_os("SAFERRING_DISABLE") {
            None => FeatureSet::EMPTY,
            Some(list) => FeatureSet::parse(&list.to_string_lossy())?,
        };
        Ok(Policy {
            by_builder: self.disabled,
            by_environment,
            fallback: self.fallback,
        })
    }
}
