//! The names of the calls.

use strum::{Display, EnumIter, EnumString, IntoStaticStr};

/// A call to the simulated vendors; its text names it in faults and in [`CallRecord`](super::CallRecord).
#[derive(
    Clone,
    Copy,
    Debug,
    PartialEq,
    Eq,
    Hash,
    PartialOrd,
    Ord,
    Display,
    EnumIter,
    EnumString,
    IntoStaticStr,
)]
#[allow(missing_docs, reason = "each variant's text is its documentation")]
pub enum VendorCall {
    #[strum(serialize = "cloudflare.live_inputs.create")]
    LiveInputCreate,
    #[strum(serialize = "cloudflare.live_inputs.list")]
    LiveInputList,
    #[strum(serialize = "cloudflare.live_inputs.get")]
    LiveInputGet,
    #[strum(serialize = "cloudflare.live_inputs.update")]
    LiveInputUpdate,
    #[strum(serialize = "cloudflare.live_inputs.delete")]
    LiveInputDelete,
    #[strum(serialize = "cloudflare.live_inputs.rotate_keys")]
    LiveInputRotateKeys,
    #[strum(serialize = "cloudflare.live_inputs.videos")]
    LiveInputVideos,
    #[strum(serialize = "cloudflare.videos.list")]
    VideoList,
    #[strum(serialize = "cloudflare.videos.get")]
    VideoGet,
    #[strum(serialize = "cloudflare.videos.delete")]
    VideoDelete,
    #[strum(serialize = "cloudflare.storage_usage")]
    StorageUsage,
    #[strum(serialize = "cloudflare.user_token.verify")]
    UserTokenVerify,
    #[strum(serialize = "cloudflare.account_token.verify")]
    AccountTokenVerify,
    #[strum(serialize = "cloudflare.webhook.put")]
    WebhookPut,
    #[strum(serialize = "cloudflare.webhook.get")]
    WebhookGet,
    #[strum(serialize = "cloudflare.webhook.delete")]
    WebhookDelete,
    #[strum(serialize = "cloudflare.alerting.destinations.create")]
    DestinationCreate,
    #[strum(serialize = "cloudflare.alerting.destinations.list")]
    DestinationList,
    #[strum(serialize = "cloudflare.alerting.destinations.delete")]
    DestinationDelete,
    #[strum(serialize = "cloudflare.alerting.policies.create")]
    PolicyCreate,
    #[strum(serialize = "cloudflare.alerting.policies.list")]
    PolicyList,
    #[strum(serialize = "cloudflare.alerting.policies.delete")]
    PolicyDelete,
    #[strum(serialize = "customer.lifecycle")]
    Lifecycle,
    #[strum(serialize = "customer.views")]
    Views,
    #[strum(serialize = "customer.manifest")]
    Manifest,
    #[strum(serialize = "customer.thumbnail")]
    Thumbnail,
    #[strum(serialize = "mux.live_streams.create")]
    MuxStreamCreate,
    #[strum(serialize = "mux.live_streams.list")]
    MuxStreamList,
    #[strum(serialize = "mux.live_streams.get")]
    MuxStreamGet,
    #[strum(serialize = "mux.live_streams.update")]
    MuxStreamUpdate,
    #[strum(serialize = "mux.live_streams.delete")]
    MuxStreamDelete,
    #[strum(serialize = "mux.live_streams.complete")]
    MuxStreamComplete,
    #[strum(serialize = "mux.live_streams.disable")]
    MuxStreamDisable,
    #[strum(serialize = "mux.live_streams.enable")]
    MuxStreamEnable,
    #[strum(serialize = "mux.live_streams.reset_stream_key")]
    MuxStreamResetKey,
    #[strum(serialize = "mux.live_streams.playback_ids")]
    MuxStreamPlaybackIds,
    #[strum(serialize = "mux.playback_ids.get")]
    MuxPlaybackIdGet,
    #[strum(serialize = "mux.assets.list")]
    MuxAssetList,
    #[strum(serialize = "mux.assets.get")]
    MuxAssetGet,
    #[strum(serialize = "mux.assets.delete")]
    MuxAssetDelete,
    #[strum(serialize = "mux.whoami")]
    MuxWhoAmI,
    #[strum(serialize = "mux.webhooks")]
    MuxWebhooks,
    #[strum(serialize = "mux_playback.manifest")]
    MuxManifest,
    #[strum(serialize = "ivs.create_channel")]
    IvsChannelCreate,
    #[strum(serialize = "ivs.get_channel")]
    IvsChannelGet,
    #[strum(serialize = "ivs.batch_get_channel")]
    IvsChannelBatchGet,
    #[strum(serialize = "ivs.list_channels")]
    IvsChannelList,
    #[strum(serialize = "ivs.update_channel")]
    IvsChannelUpdate,
    #[strum(serialize = "ivs.delete_channel")]
    IvsChannelDelete,
    #[strum(serialize = "ivs.create_stream_key")]
    IvsKeyCreate,
    #[strum(serialize = "ivs.get_stream_key")]
    IvsKeyGet,
    #[strum(serialize = "ivs.batch_get_stream_key")]
    IvsKeyBatchGet,
    #[strum(serialize = "ivs.list_stream_keys")]
    IvsKeyList,
    #[strum(serialize = "ivs.delete_stream_key")]
    IvsKeyDelete,
    #[strum(serialize = "ivs.get_stream")]
    IvsStreamGet,
    #[strum(serialize = "ivs.list_streams")]
    IvsStreamList,
    #[strum(serialize = "ivs.stop_stream")]
    IvsStreamStop,
    #[strum(serialize = "ivs.list_stream_sessions")]
    IvsSessionList,
    #[strum(serialize = "ivs.get_stream_session")]
    IvsSessionGet,
    #[strum(serialize = "ivs.get_recording_configuration")]
    IvsRecordingConfigurationGet,
    #[strum(serialize = "ivs.list_tags_for_resource")]
    IvsTagsGet,
    #[strum(serialize = "ivs.tag_resource")]
    IvsTagsAdd,
    #[strum(serialize = "ivs.untag_resource")]
    IvsTagsRemove,
    #[strum(serialize = "ivs_playback.manifest")]
    IvsManifest,
    #[strum(serialize = "ivs_playback.recording")]
    IvsRecording,
    #[strum(serialize = "s3.list_objects_v2")]
    S3List,
    #[strum(serialize = "s3.get_object")]
    S3Get,
    #[strum(serialize = "s3.head_object")]
    S3Head,
    #[strum(serialize = "s3.delete_object")]
    S3Delete,
    #[strum(serialize = "s3.delete_objects")]
    S3DeleteMany,
    #[strum(serialize = "agora.cloud_recording.acquire")]
    Acquire,
    #[strum(serialize = "agora.cloud_recording.start")]
    Start,
    #[strum(serialize = "agora.cloud_recording.query")]
    Query,
    #[strum(serialize = "agora.cloud_recording.update")]
    Update,
    #[strum(serialize = "agora.cloud_recording.stop")]
    Stop,
    #[strum(serialize = "agora.media_push.create")]
    ConverterCreate,
    #[strum(serialize = "agora.media_push.get")]
    ConverterGet,
    #[strum(serialize = "agora.media_push.update")]
    ConverterUpdate,
    #[strum(serialize = "agora.media_push.delete")]
    ConverterDelete,
    #[strum(serialize = "agora.media_push.list")]
    ConverterList,
    #[strum(serialize = "agora.media_push.list_channel")]
    ConverterListChannel,
    #[strum(serialize = "agora.channel.hosts")]
    Hosts,
}

impl VendorCall {
    /// The variant's text.
    pub fn name(self) -> &'static str {
        self.into()
    }
}
