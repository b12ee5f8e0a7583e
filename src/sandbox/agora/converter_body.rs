//! Checks the body of a converter's creation (`agora.md §4.3`).

use serde_json::Value;

use super::check;

pub(super) struct ConverterRequest {
    pub(super) name: String,
    pub(super) channel: String,
    /// Sellers; empty: all in the channel.
    pub(super) uids: Vec<u32>,
    pub(super) raw: bool,
    pub(super) full_hd: bool,
    pub(super) rtmp_url: String,
    pub(super) idle_timeout: u64,
}

pub(super) fn read(body: &Value) -> Result<ConverterRequest, String> {
    let converter = body
        .get("converter")
        .filter(|converter| converter.is_object())
        .ok_or("Invalid parameter: converter")?;
    let name = match converter.get("name") {
        None => String::new(),
        Some(name) => name.as_str().ok_or("Invalid parameter: name")?.to_owned(),
    };
    if name.len() > 64
        || !name
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_')
    {
        return Err("Invalid parameter: name".to_owned());
    }
    let rtmp_url = rtmp_url(converter)?;
    // The vendor ignores unknown properties; this misspelt one is a client's error.
    if converter.get("idleTimeOut").is_some() {
        return Err("Invalid parameter: idleTimeout".to_owned());
    }
    let idle_timeout = match converter.get("idleTimeout") {
        None => 300,
        Some(value) => value
            .as_u64()
            .ok_or("Invalid parameter: idleTimeout")?
            .clamp(5, 86_400),
    };
    check::number(converter, "jitterBufferSizeMs", 0, 1000).map_err(invalid)?;
    let (options, raw) = match (
        converter.get("transcodeOptions"),
        converter.get("rawOptions"),
    ) {
        (Some(options), None) => (options, false),
        (None, Some(options)) => (options, true),
        _ => {
            return Err(
                "Invalid parameter: exactly one of transcodeOptions and rawOptions".to_owned(),
            );
        }
    };
    let channel = options
        .get("rtcChannel")
        .and_then(Value::as_str)
        .filter(|name| check::is_channel(name))
        .ok_or("Invalid parameter: rtcChannel")?;
    let mut wanted = ConverterRequest {
        name,
        channel: channel.to_owned(),
        uids: Vec::new(),
        raw,
        full_hd: false,
        rtmp_url,
        idle_timeout,
    };
    if raw {
        wanted.uids.push(uid(options
            .get("rtcStreamUid")
            .ok_or("Invalid parameter: rtcStreamUid")?)?);
        return Ok(wanted);
    }
    let (audio, video) = (options.get("audioOptions"), options.get("videoOptions"));
    if audio.is_none() && video.is_none() {
        return Err("Invalid parameter: audioOptions or videoOptions".to_owned());
    }
    if let Some(audio) = audio {
        wanted.uids.extend(read_audio(audio)?);
    }
    if let Some(video) = video {
        let (uids, full_hd) = read_video(video)?;
        wanted.uids.extend(uids);
        wanted.full_hd = full_hd;
    }
    wanted.uids.sort_unstable();
    wanted.uids.dedup();
    Ok(wanted)
}

pub(super) fn rtmp_url(converter: &Value) -> Result<String, String> {
    let url = converter
        .get("rtmpUrl")
        .and_then(Value::as_str)
        .filter(|url| check::is_rtmp(url) && url.len() <= 1024);
    Ok(url.ok_or("Invalid parameter: rtmpUrl")?.to_owned())
}

fn invalid(reason: String) -> String {
    format!("Invalid parameter: {reason}")
}

fn uid(value: &Value) -> Result<u32, String> {
    value
        .as_u64()
        .and_then(|uid| u32::try_from(uid).ok())
        .ok_or_else(|| "Invalid parameter: rtcStreamUid".to_owned())
}

fn read_audio(audio: &Value) -> Result<Vec<u32>, String> {
    if !audio.is_object() {
        return Err("Invalid parameter: audioOptions".to_owned());
    }
    check::choice(audio, "codecProfile", &["LC-AAC", "HE-AAC"]).map_err(invalid)?;
    check::number(audio, "bitrate", 32, 128).map_err(invalid)?;
    check::number(audio, "audioChannels", 1, 2).map_err(invalid)?;
    if let Some(rate) = check::number(audio, "sampleRate", 32_000, 48_000).map_err(invalid)?
        && ![32_000, 44_100, 48_000].contains(&rate)
    {
        return Err("Invalid parameter: sampleRate".to_owned());
    }
    let Some(uids) = audio.get("rtcStreamUids") else {
        return Ok(Vec::new());
    };
    let uids: Vec<u32> = uids
        .as_array()
        .ok_or("Invalid parameter: rtcStreamUids")?
        .iter()
        .map(uid)
        .collect::<Result<_, _>>()?;
    if uids.len() > 3 {
        return Err("Invalid parameter: rtcStreamUids has more than 3 users".to_owned());
    }
    Ok(uids)
}

/// The layout's sellers, and whether the canvas is larger than 1280×720.
pub(super) fn read_video(video: &Value) -> Result<(Vec<u32>, bool), String> {
    check::required_number(video, "bitrate", 1, 10_000).map_err(invalid)?;
    check::number(video, "frameRate", 1, 30).map_err(invalid)?;
    check::number(video, "gop", 1, 100_000).map_err(invalid)?;
    check::choice(video, "codec", &["H.264", "H.265"]).map_err(invalid)?;
    check::choice(video, "codecProfile", &["high", "baseline", "main"]).map_err(invalid)?;
    let canvas = video
        .get("canvas")
        .filter(|canvas| canvas.is_object())
        .ok_or("Invalid parameter: canvas")?;
    let width = check::required_number(canvas, "width", 66, 1920).map_err(invalid)?;
    let height = check::required_number(canvas, "height", 66, 1920).map_err(invalid)?;
    check::number(canvas, "color", 0, 16_777_215).map_err(invalid)?;
    let full_hd = width * height > 1280 * 720;
    if check::number(video, "layoutType", 0, 1).map_err(invalid)? == Some(1) {
        video
            .get("vertical")
            .filter(|vertical| vertical.is_object())
            .ok_or("Invalid parameter: vertical")?;
        return Ok((Vec::new(), full_hd));
    }
    let layout = video
        .get("layout")
        .and_then(Value::as_array)
        .filter(|layout| !layout.is_empty())
        .ok_or("Invalid parameter: layout")?;
    let mut uids = Vec::new();
    for item in layout {
        let region = item
            .get("region")
            .filter(|region| region.is_object())
            .ok_or("Invalid parameter: region")?;
        let side = |at: &str, size: &str, whole: u64| -> Result<(), String> {
            let at = check::required_number(region, at, 0, 1920).map_err(invalid)?;
            let size = check::required_number(region, size, 1, 1920).map_err(invalid)?;
            if at + size > whole {
                Err("Invalid parameter: region is not within the canvas".to_owned())
            } else {
                Ok(())
            }
        };
        side("xPos", "width", width)?;
        side("yPos", "height", height)?;
        check::required_number(region, "zIndex", 0, 100).map_err(invalid)?;
        check::choice(item, "fillMode", &["fill", "fit"]).map_err(invalid)?;
        match (item.get("rtcStreamUid"), item.get("imageUrl")) {
            (Some(value), None) => uids.push(uid(value)?),
            (None, Some(Value::String(_))) => {}
            _ => return Err("Invalid parameter: layout".to_owned()),
        }
    }
    Ok((uids, full_hd))
}
