//! What the simulated Agora publishes: the wall clock as bars, a colour and a moving block for the seller, and a tone.
//!
//! The top 40 rows are 32 bars of 20 columns, white for 1 and black for 0: the low 32 bits of the Unix time in milliseconds, the
//! highest first. The next 40 rows are their inverse, so that a reader can tell them from anything else. Both stay when the seller
//! leaves; what is below is black then.

pub(super) const WIDTH: usize = 640;
pub(super) const HEIGHT: usize = 360;
pub(super) const FRAMES_PER_SECOND: u32 = 15;
pub(super) const SAMPLE_RATE: u32 = 44_100;
const BAR_WIDTH: usize = WIDTH / 32;
const BAR_ROWS: usize = 40;
const BLOCK_WIDTH: usize = 40;
/// Columns a frame.
const BLOCK_STEP: usize = 8;
const BLACK: u8 = 16;
const WHITE: u8 = 235;
const GREY: u8 = 128;
const BLOCK_LUMA: u8 = 210;
const HZ: u64 = 440;
const AMPLITUDE: i64 = 10_000;

/// Luma and chroma.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Colour(u8, u8, u8);

/// Red, green, blue, yellow, cyan, magenta.
const COLOURS: [Colour; 6] = [
    Colour(81, 90, 240),
    Colour(145, 54, 34),
    Colour(41, 240, 110),
    Colour(170, 16, 146),
    Colour(170, 166, 16),
    Colour(106, 202, 222),
];

/// A channel's own.
pub(super) fn colour_of(channel: &str) -> Colour {
    let sum: usize = channel.bytes().map(usize::from).sum();
    let colour = COLOURS.get(sum % COLOURS.len());
    colour.copied().unwrap_or(Colour(GREY, GREY, GREY))
}

/// A frame in 4:2:0. `seller`: the colour, if the seller is present.
pub(super) fn frame(clock: u32, number: usize, seller: Option<Colour>) -> Vec<u8> {
    let mut frame = Vec::with_capacity(WIDTH * HEIGHT * 3 / 2);
    let bars: Vec<bool> = (0..32).map(|bit| clock >> (31 - bit) & 1 == 1).collect();
    for inverse in [false, true] {
        let mut row = Vec::with_capacity(WIDTH);
        for bar in &bars {
            let luma = if *bar == inverse { BLACK } else { WHITE };
            row.resize(row.len() + BAR_WIDTH, luma);
        }
        frame.extend(row.repeat(BAR_ROWS));
    }
    let Colour(luma, blue, red) = seller.unwrap_or(Colour(BLACK, GREY, GREY));
    let mut row = vec![luma; WIDTH];
    let left = number * BLOCK_STEP % (WIDTH - BLOCK_WIDTH);
    if let Some(block) = row
        .get_mut(left..left + BLOCK_WIDTH)
        .filter(|_| seller.is_some())
    {
        block.fill(BLOCK_LUMA);
    }
    frame.extend(row.repeat(HEIGHT - 2 * BAR_ROWS));
    for chroma in [blue, red] {
        let bars = WIDTH / 2 * BAR_ROWS;
        frame.resize(frame.len() + bars, GREY);
        frame.resize(frame.len() + WIDTH / 2 * HEIGHT / 2 - bars, chroma);
    }
    frame
}

/// 16-bit samples from this one on, nearly a sine; silence without a seller.
pub(super) fn tone(from: u64, samples: u64, has_seller: bool) -> Vec<u8> {
    let rate = i64::from(SAMPLE_RATE);
    let half = rate / 2;
    let sample = |number: u64| {
        let phase = i64::try_from(number * HZ % u64::from(SAMPLE_RATE)).unwrap_or_default();
        let within = phase % half;
        let arch = 4 * AMPLITUDE * within * (half - within) / (half * half);
        let value = if phase < half { arch } else { -arch };
        i16::try_from(value).unwrap_or_default()
    };
    (from..from + samples)
        .flat_map(|number| if has_seller { sample(number) } else { 0 }.to_le_bytes())
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const LUMA: usize = WIDTH * HEIGHT;

    /// As a test in a browser reads it.
    fn clock_of(frame: &[u8]) -> Option<u32> {
        let luma = |bar: usize, row: usize| frame[row * WIDTH + bar * BAR_WIDTH + BAR_WIDTH / 2];
        let mut clock = 0;
        for bar in 0..32 {
            let (bit, inverse) = (luma(bar, 20) > 128, luma(bar, 60) > 128);
            if bit == inverse {
                return None;
            }
            clock = clock << 1 | u32::from(bit);
        }
        Some(clock)
    }

    #[test]
    fn the_clock_is_read_from_the_bars_with_and_without_a_seller() {
        for clock in [0, 1, 0xdead_beef, u32::MAX] {
            for seller in [None, Some(COLOURS[0])] {
                let frame = frame(clock, 3, seller);
                assert_eq!(frame.len(), LUMA * 3 / 2);
                assert_eq!(clock_of(&frame), Some(clock));
            }
        }
    }

    #[test]
    fn the_picture_moves_while_the_seller_is_present_and_is_black_otherwise() {
        let colour = colour_of("show68");
        assert_ne!(frame(0, 1, Some(colour)), frame(0, 2, Some(colour)));
        let black = frame(0, 1, None);
        assert_eq!(black, frame(0, 2, None));
        assert!(
            black[2 * BAR_ROWS * WIDTH..LUMA]
                .iter()
                .all(|luma| *luma == BLACK)
        );
        assert!(black[LUMA..].iter().all(|chroma| *chroma == GREY));
        assert_ne!(colour_of("show68"), colour_of("show69"));
    }

    #[test]
    fn the_tone_has_440_waves_a_second_and_ends_with_the_seller() {
        let samples = |has_seller| {
            let bytes = tone(0, u64::from(SAMPLE_RATE), has_seller);
            let samples = bytes
                .chunks(2)
                .map(|pair| i16::from_le_bytes([pair[0], pair[1]]));
            samples.collect::<Vec<_>>()
        };
        let heard = samples(true);
        let rises = heard.windows(2).filter(|pair| pair[0] <= 0 && pair[1] > 0);
        assert_eq!(rises.count(), 440);
        assert!(heard.iter().max() > Some(&9_900));
        assert!(samples(false).iter().all(|sample| *sample == 0));
    }
}
