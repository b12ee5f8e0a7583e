//! Whether a platform takes the video that egresses push.

use crate::config::{SettingsProblem, VideoProfile};
use crate::relay::IngestLimits;

/// The shorter side of a picture of standard definition.
const SD: u32 = 480;

/// What exceeds the limits: the platform may cut the publisher off.
pub(super) fn exceeded(
    video: &VideoProfile,
    platform: &str,
    limits: IngestLimits,
) -> Vec<SettingsProblem> {
    let problem = |setting: &str, value: String, most: String| SettingsProblem {
        key: format!("{}.{setting}", video.section),
        origin: None,
        message: format!(
            "{value} exceed what the platform of [{platform}] takes, {most}: lower it, or take the platform out of the settings"
        ),
    };
    let sd_kbps = limits
        .max_sd_kbps
        .filter(|_| video.width.min(video.height) <= SD);
    let kbps = sd_kbps.or(limits.max_kbps);
    let kbps = kbps.filter(|most| video.kbps > *most);
    let kbps = kbps.map(|most| {
        let value = format!("{} kbit/s with audio", video.kbps);
        problem("bitrate_kbps", value, format!("{most} kbit/s"))
    });
    let pixels = video.width.saturating_mul(video.height);
    let pixels = limits.max_pixels.filter(|most| pixels > *most).map(|most| {
        let value = format!("{}x{} pixels", video.width, video.height);
        problem("width", value, format!("{most} pixels"))
    });
    kbps.into_iter().chain(pixels).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_video_over_a_platforms_limits_is_refused_with_both_settings() {
        let video = VideoProfile {
            section: "agora.media_push.video",
            width: 1920,
            height: 1080,
            kbps: 8_501,
        };
        let problems = |max_kbps, max_pixels| {
            let limits = IngestLimits {
                max_kbps,
                max_sd_kbps: None,
                max_pixels,
            };
            let problems = exceeded(&video, "kiosk", limits).into_iter();
            problems.map(|one| one.to_string()).collect::<Vec<_>>()
        };
        assert_eq!(problems(None, None), [""; 0]);
        assert_eq!(problems(Some(8_501), Some(1920 * 1080)), [""; 0]);
        assert_eq!(
            problems(Some(8_500), Some(1280 * 720)),
            [
                "agora.media_push.video.bitrate_kbps: 8501 kbit/s with audio exceed what the platform of [kiosk] takes, 8500 kbit/s: \
                 lower it, or take the platform out of the settings",
                "agora.media_push.video.width: 1920x1080 pixels exceed what the platform of [kiosk] takes, 921600 pixels: lower it, \
                 or take the platform out of the settings",
            ]
        );
    }

    #[test]
    fn a_small_picture_has_a_limit_of_its_own_where_the_platform_says_so() {
        let limits = IngestLimits {
            max_kbps: Some(3_500),
            max_sd_kbps: Some(1_500),
            max_pixels: None,
        };
        let problems = |(width, height), kbps| {
            let video = VideoProfile {
                section: "agora.media_push.video",
                width,
                height,
                kbps,
            };
            exceeded(&video, "kiosk", limits).len()
        };
        assert_eq!(problems((854, 480), 1_500), 0);
        assert_eq!(problems((854, 480), 1_501), 1);
        assert_eq!(problems((480, 854), 1_501), 1);
        assert_eq!(problems((1280, 720), 3_500), 0);
        assert_eq!(problems((1280, 720), 3_501), 1);
    }
}
