//! What the runtime can use of a kernel, by name: one table, and sets of its rows.
#![forbid(unsafe_code)]

use std::fmt;
use std::str::FromStr;

use io_uring::opcode;

/// How a capability is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// A flag of io_uring_setup(2).
    Setup(u32),
    /// By io_uring_register(2).
    Register,
    /// With io_uring_enter(2).
    Enter,
    /// An operation of this number.
    Opcode(u8),
    /// A form of an operation.
    Modifier,
}

impl Kind {
    /// In the order in which they are told, with a title.
    pub(crate) const TITLES: [(&'static str, fn(Kind) -> bool); 5] = [
        ("the ring's flags", |kind| matches!(kind, Kind::Setup(_))),
        ("what is registered", |kind| kind == Kind::Register),
        ("how it waits", |kind| kind == Kind::Enter),
        ("forms of operations", |kind| kind == Kind::Modifier),
        ("operations", |kind| matches!(kind, Kind::Opcode(_))),
    ];
}

/// A row of the table.
struct Row {
    feature: Feature,
    name: &'static str,
    since: &'static str,
    kind: Kind,
    cost: &'static str,
}

macro_rules! table {
    ($(#[$attribute:meta])* pub enum $name:ident {
        $($variant:ident $text:literal $since:literal $kind:expr, $cost:literal;)*
    }) => {
        $(#[$attribute])*
        pub enum $name {
            $(
                #[doc = concat!("`", $text, "`, which Linux ", $since, " has. Without it: ", $cost, ".")]
                $variant,
            )*
        }

        const TABLE: &[Row] = &[$(Row {
            feature: $name::$variant,
            name: $text,
            since: $since,
            kind: $kind,
            cost: $cost,
        },)*];
    };
}

use Kind::{Enter, Modifier, Opcode, Register, Setup};

table!(
    /// A capability of the kernel that the runtime can use.
    ///
    /// [`Features`](crate::Features) tells which there are; [`AdvancedConfig`](crate::runtime::AdvancedConfig) and the
    /// environment variable `SAFERRING_DISABLE` switch them off. Its name is that of the variant in small letters:
    ///
    /// ```
    /// use saferring::Feature;
    ///
    /// let feature: Feature = "multishot_recv".parse()?;
    /// assert_eq!(feature, Feature::MultishotRecv);
    /// assert_eq!((feature.name(), feature.kernel()), ("multishot_recv", "6.0"));
    /// # Ok::<_, saferring::UnknownFeature>(())
    /// ```
    #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
    #[repr(u8)]
    #[non_exhaustive]
    pub enum Feature {
        SubmitAll "submit_all" "5.18" Setup(1 << 7), "a refused entry costs those behind it a call";
        CoopTaskrun "coop_taskrun" "5.19" Setup(1 << 8), "completions interrupt the thread";
        TaskrunFlag "taskrun_flag" "5.19" Setup(1 << 9), "a busy loop does not see that completions wait";
        SingleIssuer "single_issuer" "6.0" Setup(1 << 12), "completions are not deferred either";
        DeferTaskrun "defer_taskrun" "6.1" Setup(1 << 13), "completions come in the way of other calls";
        NoSqarray "no_sqarray" "6.6" Setup(1 << 16), "each entry is named in one more array";
        Sqpoll "sqpoll" "5.11" Setup(1 << 1), "submitting takes a system call";
        Iopoll "iopoll" "5.1" Setup(1 << 0), "direct reads wait for an interrupt";

        RegisteredRing "registered_ring" "5.18" Register, "each call looks up the ring's descriptor";
        RegisteredFiles "registered_files" "6.13" Register, "each use looks up its file; no direct descriptors";
        RegisteredBuffers "registered_buffers" "5.19" Register, "each direct read pins its pages";
        BufferRings "buffer_rings" "5.19" Register, "each stream of chunks has a buffer of its own";
        Napi "napi" "6.9" Register, "network cards interrupt, and are not polled";
        KernelWorkers "kernel_workers" "5.15" Register, "the kernel's threads cannot be limited";
        MessageWakes "message_wakes" "6.13" Register, "wakes of other threads go by an eventfd";

        MinWait "min_wait" "6.12" Enter, "a wait ends with its first completion";
        NoIowait "no_iowait" "6.15" Enter, "waiting is shown as I/O wait";

        MultishotAccept "multishot_accept" "5.19" Modifier, "one request a connection";
        MultishotRecv "multishot_recv" "6.0" Modifier, "one request a chunk";
        MultishotRecvmsg "multishot_recvmsg" "6.0" Modifier, "one request a datagram";
        PollFirst "poll_first" "5.19" Modifier, "a receive tries in vain before it waits";
        SendAddress "send_address" "6.0" Modifier, "datagrams go by sendmsg";
        ZeroCopyReport "zero_copy_report" "6.2" Modifier, "nobody tells that a send was copied";

        Nop "nop" "5.1" Opcode(opcode::Nop::CODE), "it is done in software";
        Readv "readv" "5.1" Opcode(opcode::Readv::CODE), "it is done in software";
        Writev "writev" "5.1" Opcode(opcode::Writev::CODE), "it is done in software";
        Fsync "fsync" "5.1" Opcode(opcode::Fsync::CODE), "it is done in software";
        ReadFixed "read_fixed" "5.1" Opcode(opcode::ReadFixed::CODE), "it is done in software";
        WriteFixed "write_fixed" "5.1" Opcode(opcode::WriteFixed::CODE), "it is done in software";
        PollAdd "poll_add" "5.1" Opcode(opcode::PollAdd::CODE), "it is done in software";
        Sendmsg "sendmsg" "5.3" Opcode(opcode::SendMsg::CODE), "it is done in software";
        Recvmsg "recvmsg" "5.3" Opcode(opcode::RecvMsg::CODE), "it is done in software";
        Accept "accept" "5.5" Opcode(opcode::Accept::CODE), "it is done in software";
        AsyncCancel "async_cancel" "5.5" Opcode(opcode::AsyncCancel::CODE), "it is done in software";
        Connect "connect" "5.5" Opcode(opcode::Connect::CODE), "it is done in software";
        Fallocate "fallocate" "5.6" Opcode(opcode::Fallocate::CODE), "it is done in software";
        Openat "openat" "5.6" Opcode(opcode::OpenAt::CODE), "it is done in software";
        Close "close" "5.6" Opcode(opcode::Close::CODE), "it is done in software";
        Statx "statx" "5.6" Opcode(opcode::Statx::CODE), "it is done in software";
        Read "read" "5.6" Opcode(opcode::Read::CODE), "it is done in software";
        Write "write" "5.6" Opcode(opcode::Write::CODE), "it is done in software";
        Fadvise "fadvise" "5.6" Opcode(opcode::Fadvise::CODE), "it is done in software";
        Send "send" "5.6" Opcode(opcode::Send::CODE), "it is done in software";
        Recv "recv" "5.6" Opcode(opcode::Recv::CODE), "it is done in software";
        Splice "splice" "5.7" Opcode(opcode::Splice::CODE), "it is done in software";
        Renameat "renameat" "5.11" Opcode(opcode::RenameAt::CODE), "it is done in software";
        Unlinkat "unlinkat" "5.11" Opcode(opcode::UnlinkAt::CODE), "it is done in software";
        Mkdirat "mkdirat" "5.15" Opcode(opcode::MkDirAt::CODE), "it is done by a blocking thread";
        Socket "socket" "5.19" Opcode(opcode::Socket::CODE), "it is done by a call of its own";
        SendZc "send_zc" "6.0" Opcode(opcode::SendZc::CODE), "zero-copy sends copy";
        SendmsgZc "sendmsg_zc" "6.1" Opcode(opcode::SendMsgZc::CODE), "vectored zero-copy sends copy";
        FixedFdInstall "fixed_fd_install" "6.8" Opcode(opcode::FixedFdInstall::CODE), "a direct descriptor stays one";
        Ftruncate "ftruncate" "6.9" Opcode(opcode::Ftruncate::CODE), "it is done by a blocking thread";
    }
);

/// Below this the kernel has every operation if it has io_uring as the runtime needs it.
const FLOOR: (u32, u32) = (5, 14);

impl Feature {
    pub(crate) const COUNT: usize = TABLE.len();

    /// All of them.
    pub fn all() -> impl Iterator<Item = Feature> {
        TABLE.iter().map(|row| row.feature)
    }

    const fn row(self) -> &'static Row {
        &TABLE[self as usize]
    }

    /// Its name, as in `SAFERRING_DISABLE=multishot_recv,send_zc`.
    pub const fn name(self) -> &'static str {
        self.row().name
    }

    /// The first version of Linux that has it, such as `"6.0"`. (Distributions have some in older ones, too.)
    pub const fn kernel(self) -> &'static str {
        self.row().since
    }

    /// What its absence costs, in a few words.
    pub const fn cost(self) -> &'static str {
        self.row().cost
    }

    pub(crate) const fn kind(self) -> Kind {
        self.row().kind
    }

    /// The number of the operation that it is.
    pub(crate) const fn opcode(self) -> Option<u8> {
        match self.kind() {
            Opcode(code) => Some(code),
            _ => None,
        }
    }

    /// The operations without which it is nothing: those that it is a form of, or that are given what is registered.
    pub(crate) const fn rests_on(self) -> &'static [Feature] {
        match self {
            Feature::MultishotAccept => &[Feature::Accept],
            Feature::MultishotRecv | Feature::PollFirst => &[Feature::Recv],
            Feature::MultishotRecvmsg => &[Feature::Recvmsg],
            Feature::SendAddress => &[Feature::Send],
            Feature::ZeroCopyReport => &[Feature::SendZc],
            Feature::RegisteredBuffers => &[Feature::ReadFixed, Feature::WriteFixed],
            _ => &[],
        }
    }

    /// The operations of the table as bits: all, or those alone that need not be asked for.
    pub(crate) fn opcodes(floor_alone: bool) -> u128 {
        Feature::all()
            .filter(|feature| !floor_alone || version(feature.kernel()) <= Some(FLOOR))
            .filter_map(Feature::opcode)
            .fold(0, |set, code| set | 1 << code)
    }
}

/// `6.10` as numbers.
fn version(text: &str) -> Option<(u32, u32)> {
    let (major, minor) = text.split_once('.')?;
    Some((major.parse().ok()?, minor.parse().ok()?))
}

impl fmt::Display for Feature {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

impl FromStr for Feature {
    type Err = UnknownFeature;

    fn from_str(name: &str) -> Result<Self, UnknownFeature> {
        let row = TABLE.iter().find(|row| row.name == name);
        row.map(|row| row.feature).ok_or_else(|| UnknownFeature {
            name: name.to_owned(),
        })
    }
}

/// A name that is no [`Feature`]'s. Its message has those that are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UnknownFeature {
    name: String,
}

impl fmt::Display for UnknownFeature {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "there is no feature {:?} (SAFERRING_DISABLE): the names are",
            self.name
        )?;
        for feature in Feature::all() {
            write!(f, " {feature},")?;
        }
        f.write_str(" and kernel-6.0 is all that is newer than Linux 6.0, and so for each version")
    }
}

impl std::error::Error for UnknownFeature {}

/// Who has switched a feature off.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum DisabledBy {
    /// The program, by [`AdvancedConfig::disable`](crate::runtime::AdvancedConfig::disable).
    Builder,
    /// The environment variable `SAFERRING_DISABLE`.
    Environment,
    /// A seccomp filter, or a security module.
    Filter,
    /// The sysctl `kernel.io_uring_disabled`.
    Sysctl,
    /// The limit on locked memory.
    MemoryLimit,
    /// The limit on descriptors.
    DescriptorLimit,
}

impl fmt::Display for DisabledBy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            DisabledBy::Builder => "AdvancedConfig",
            DisabledBy::Environment => "SAFERRING_DISABLE",
            DisabledBy::Filter => "a filter or security module",
            DisabledBy::Sysctl => "kernel.io_uring_disabled",
            DisabledBy::MemoryLimit => "the limit on locked memory",
            DisabledBy::DescriptorLimit => "the limit on descriptors",
        })
    }
}

/// Some features.
#[derive(Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct FeatureSet(u64);

const _: () = assert!(Feature::COUNT <= 64, "a set of features has a bit for each");

impl FeatureSet {
    pub(crate) const EMPTY: FeatureSet = FeatureSet(0);

    #[inline]
    pub(crate) const fn has(self, feature: Feature) -> bool {
        self.0 & (1 << feature as u8) != 0
    }

    pub(crate) const fn with(self, feature: Feature) -> Self {
        FeatureSet(self.0 | (1 << feature as u8))
    }

    pub(crate) const fn without(self, feature: Feature) -> Self {
        FeatureSet(self.0 & !(1 << feature as u8))
    }

    pub(crate) const fn and(self, other: FeatureSet) -> Self {
        FeatureSet(self.0 | other.0)
    }

    pub(crate) fn iter(self) -> impl Iterator<Item = Feature> {
        Feature::all().filter(move |&feature| self.has(feature))
    }

    /// All that is newer than a version of Linux, which is given as in `6.0`.
    pub(crate) fn newer_than(kernel: &str) -> Option<Self> {
        let kernel = version(kernel)?;
        let newer = Feature::all().filter(|feature| version(feature.kernel()) > Some(kernel));
        Some(newer.collect())
    }

    /// Reads a list as `SAFERRING_DISABLE` has it.
    pub(crate) fn parse(list: &str) -> Result<Self, UnknownFeature> {
        let mut set = FeatureSet::EMPTY;
        for name in list
            .split(',')
            .map(str::trim)
            .filter(|name| !name.is_empty())
        {
            let level = name.strip_prefix("kernel-").and_then(Self::newer_than);
            set = match level {
                Some(newer) => set.and(newer),
                None => set.with(name.parse()?),
            };
        }
        Ok(set)
    }
}

impl FromIterator<Feature> for FeatureSet {
    fn from_iter<I: IntoIterator<Item = Feature>>(features: I) -> Self {
        features.into_iter().fold(Self::EMPTY, Self::with)
    }
}

impl fmt::Debug for FeatureSet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.iter()).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_lead_to_features_and_back() {
        for (at, feature) in Feature::all().enumerate() {
            assert_eq!(feature as usize, at);
            assert_eq!(feature.name().parse(), Ok(feature));
            // As the variant is called.
            let variant = format!("{feature:?}").to_lowercase();
            assert_eq!(variant, feature.name().replace('_', ""));
        }
    }

    #[test]
    fn the_table_says_something_of_each() {
        for feature in Feature::all() {
            assert!(version(feature.kernel()) >= Some((5, 1)), "{feature}");
            let cost = feature.cost();
            assert!(
                (5..=52).contains(&cost.len()) && !cost.ends_with('.'),
                "{cost}"
            );
            assert!(feature.name().len() <= 18, "{feature}");
            let titles = Kind::TITLES.iter().filter(|(_, is)| is(feature.kind()));
            assert_eq!(titles.count(), 1);
        }
    }

    #[test]
    fn a_list_names_features_and_kernels() {
        let set = FeatureSet::parse(" send_zc, multishot_recv,,").unwrap();
        assert_eq!(
            set.iter().collect::<Vec<_>>(),
            [Feature::MultishotRecv, Feature::SendZc]
        );
        assert_eq!(FeatureSet::parse(""), Ok(FeatureSet::EMPTY));
        let level = FeatureSet::parse("kernel-6.0,nop").unwrap();
        assert!(level.has(Feature::DeferTaskrun) && level.has(Feature::Nop));
        assert!(!level.has(Feature::MultishotRecv) && !level.has(Feature::Send));
        // Numbers, not letters.
        let level = FeatureSet::parse("kernel-6.9").unwrap();
        assert!(level.has(Feature::MinWait) && !level.has(Feature::Ftruncate));
        for wrong in ["sendzc", "kernel-six", "kernel-6", "Nop"] {
            let error = FeatureSet::parse(wrong).unwrap_err().to_string();
            assert!(
                error.contains(wrong) && error.contains("multishot_recv,"),
                "{error}"
            );
            assert!(error.contains("kernel-6.0"), "{error}");
        }
    }

    #[test]
    fn sets_hold_what_was_put_into_them() {
        let set: FeatureSet = [Feature::Nop, Feature::Ftruncate].into_iter().collect();
        assert!(set.has(Feature::Ftruncate) && !set.without(Feature::Nop).has(Feature::Nop));
        assert_eq!(format!("{set:?}"), "{Nop, Ftruncate}");
        assert_eq!(Feature::opcodes(false).count_ones(), 30);
        let newer = Feature::opcodes(false) & !Feature::opcodes(true);
        assert_eq!(newer.count_ones(), 6);
    }
}
