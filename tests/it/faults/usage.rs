//! How a relay uses each call.

use relaykeeper::config::AgoraBackend;
use relaykeeper::sandbox::VendorCall;

use crate::support::platform::TestPlatform;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Life {
    Plain,
    /// The egress dies while live and is replaced.
    Replaced,
    /// The service restarts while live; then another client disables and enables the ingest.
    Meddled,
    Unrecorded,
    /// It follows another show while that one's broadcast is open.
    Again,
    /// The same, and the service restarts between them.
    AgainAfterRestart,
    /// The same, and something may still publish with the key.
    AgainWithStaleKey,
    /// Its egress does not stop at once.
    StopsLate,
}

impl Life {
    /// The shows of its channel.
    pub fn shows(self) -> i64 {
        match self {
            Self::Plain | Self::Replaced | Self::Meddled | Self::Unrecorded | Self::StopsLate => 1,
            Self::Again | Self::AgainAfterRestart | Self::AgainWithStaleKey => 2,
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Use {
    Both(Life),
    On(AgoraBackend, Life),
    /// Only with an ingest that the channel keeps.
    Kept(Life),
    /// It is made; with the reason why no life tries it.
    Untried(&'static str),
    /// With the reason.
    Never(&'static str),
}

pub fn usage(call: VendorCall) -> Use {
    use AgoraBackend::{CloudRecording, MediaPush};
    match call {
        VendorCall::LiveInputCreate
        | VendorCall::LiveInputUpdate
        | VendorCall::LiveInputDelete
        | VendorCall::LiveInputList
        | VendorCall::VideoList
        | VendorCall::Lifecycle
        | VendorCall::Manifest
        | VendorCall::Views => Use::Both(Life::Plain),
        VendorCall::LiveInputRotateKeys | VendorCall::LiveInputVideos => Use::Both(Life::Replaced),
        VendorCall::VideoDelete => Use::Both(Life::Unrecorded),
        VendorCall::Acquire | VendorCall::Start | VendorCall::Query | VendorCall::Stop => {
            Use::On(CloudRecording, Life::Plain)
        }
        VendorCall::LiveInputGet | VendorCall::Update => Use::On(CloudRecording, Life::Meddled),
        VendorCall::ConverterCreate
        | VendorCall::ConverterGet
        | VendorCall::ConverterDelete
        | VendorCall::ConverterList
        // With Cloud Recording the page may report presence first.
        | VendorCall::Hosts => Use::On(MediaPush, Life::Plain),
        VendorCall::ConverterUpdate => Use::Never("a converter that pushes nowhere is replaced"),
        VendorCall::ConverterListChannel => {
            Use::Never("only when a 409 names no converter, and the sandbox's always does")
        }
        VendorCall::VideoGet => Use::Never("recordings are looked for in lists"),
        VendorCall::Thumbnail => Use::Never("buyers' players ask for it"),
        VendorCall::StorageUsage => {
            Use::Never("asked by `check`, and for health when no call has succeeded for a minute")
        }
        VendorCall::UserTokenVerify | VendorCall::AccountTokenVerify => Use::Never("asked by `check`"),
        VendorCall::WebhookPut
        | VendorCall::WebhookGet
        | VendorCall::WebhookDelete
        | VendorCall::DestinationCreate
        | VendorCall::DestinationList
        | VendorCall::DestinationDelete
        | VendorCall::PolicyCreate
        | VendorCall::PolicyList
        | VendorCall::PolicyDelete => Use::Never("a matter of set-up, not of relays"),
        VendorCall::MuxStreamCreate
        | VendorCall::MuxStreamList
        | VendorCall::MuxStreamGet
        | VendorCall::MuxStreamDisable
        | VendorCall::MuxStreamDelete
        | VendorCall::MuxAssetList
        | VendorCall::MuxManifest
        | VendorCall::IvsChannelCreate
        | VendorCall::IvsChannelList
        | VendorCall::IvsChannelDelete
        | VendorCall::IvsKeyList
        | VendorCall::IvsKeyDelete
        | VendorCall::IvsStreamList
        | VendorCall::IvsStreamStop
        | VendorCall::IvsManifest
        | VendorCall::S3List
        | VendorCall::S3Get => Use::Both(Life::Plain),
        VendorCall::MuxStreamResetKey
        | VendorCall::MuxStreamEnable
        | VendorCall::IvsChannelGet
        | VendorCall::IvsKeyCreate => Use::Both(Life::Replaced),
        VendorCall::MuxAssetDelete | VendorCall::S3DeleteMany => Use::Both(Life::Unrecorded),
        VendorCall::IvsStreamGet => Use::Kept(Life::Again),
        VendorCall::MuxStreamUpdate | VendorCall::IvsChannelUpdate => {
            Use::Never("only when the settings have changed since the channel's last show")
        }
        VendorCall::IvsKeyGet => Use::Kept(Life::AgainAfterRestart),
        VendorCall::IvsRecordingConfigurationGet => Use::Untried("read when the process starts"),
        VendorCall::MuxStreamComplete => Use::Never("an encoder that hangs would stay"),
        VendorCall::MuxStreamPlaybackIds | VendorCall::MuxPlaybackIdGet => {
            Use::Never("a live stream is created with its playback id")
        }
        VendorCall::MuxAssetGet => Use::Never("recordings are looked for in lists"),
        VendorCall::MuxWhoAmI => Use::Never("asked by `check`"),
        VendorCall::MuxWebhooks => Use::Never("a matter of set-up, not of relays"),
        VendorCall::IvsChannelBatchGet | VendorCall::IvsKeyBatchGet => {
            Use::Never("one channel is read at a time")
        }
        VendorCall::IvsSessionList | VendorCall::IvsSessionGet => {
            Use::Never("the list of streams tells what is live")
        }
        VendorCall::IvsTagsGet | VendorCall::IvsTagsAdd | VendorCall::IvsTagsRemove => {
            Use::Never("a channel is created with its tags")
        }
        VendorCall::IvsRecording => Use::Never("buyers' players ask for it"),
        VendorCall::S3Head | VendorCall::S3Delete => Use::Never("objects are listed, read, and deleted together"),
    }
}

/// What only an ingest needs that its channel keeps.
pub fn only_of_kept(platform: TestPlatform) -> [(VendorCall, Life); 5] {
    match platform {
        TestPlatform::Cloudflare => [
            (VendorCall::LiveInputUpdate, Life::Again),
            (VendorCall::Lifecycle, Life::Again),
            (VendorCall::LiveInputGet, Life::AgainAfterRestart),
            (VendorCall::LiveInputRotateKeys, Life::AgainWithStaleKey),
            (VendorCall::LiveInputRotateKeys, Life::StopsLate),
        ],
        TestPlatform::Mux => [
            (VendorCall::MuxStreamDisable, Life::Again),
            (VendorCall::MuxStreamEnable, Life::Again),
            (VendorCall::MuxStreamGet, Life::AgainAfterRestart),
            (VendorCall::MuxStreamResetKey, Life::AgainWithStaleKey),
            (VendorCall::MuxStreamResetKey, Life::StopsLate),
        ],
        TestPlatform::Ivs => [
            (VendorCall::IvsStreamGet, Life::Again),
            (VendorCall::IvsStreamStop, Life::Again),
            (VendorCall::IvsKeyGet, Life::AgainAfterRestart),
            (VendorCall::IvsKeyCreate, Life::AgainWithStaleKey),
            (VendorCall::IvsKeyCreate, Life::StopsLate),
        ],
    }
}

pub fn changes(call: VendorCall) -> bool {
    [
        VendorCall::LiveInputCreate,
        VendorCall::LiveInputUpdate,
        VendorCall::LiveInputDelete,
        VendorCall::LiveInputRotateKeys,
        VendorCall::VideoDelete,
        VendorCall::MuxStreamCreate,
        VendorCall::MuxStreamDelete,
        VendorCall::MuxStreamDisable,
        VendorCall::MuxStreamEnable,
        VendorCall::MuxStreamResetKey,
        VendorCall::MuxAssetDelete,
        VendorCall::IvsChannelCreate,
        VendorCall::IvsChannelDelete,
        VendorCall::IvsKeyCreate,
        VendorCall::IvsKeyDelete,
        VendorCall::IvsStreamStop,
        VendorCall::S3DeleteMany,
        VendorCall::Acquire,
        VendorCall::Start,
        VendorCall::Update,
        VendorCall::Stop,
        VendorCall::ConverterCreate,
        VendorCall::ConverterDelete,
    ]
    .contains(&call)
}
