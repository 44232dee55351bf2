//! xxHash with 32 bits and seed 0, the checksum of LZ4 frames (xxHash specification, version
//! 0.1.1).

const P1: u32 = 0x9e37_79b1;
const P2: u32 = 0x85eb_ca77;
const P3: u32 = 0xc2b2_ae3d;
const P4: u32 = 0x27d4_eb2f;
const P5: u32 = 0x1656_67b1;

#[expect(
    clippy::cast_possible_truncation,
    reason = "the algorithm takes the length modulo 2^32"
)]
pub(super) fn xxh32(bytes: &[u8]) -> u32 {
    let (stripes, rest) = bytes.as_chunks::<16>();
    let mut hash = P5;
    if !stripes.is_empty() {
        let mut lanes = [P1.wrapping_add(P2), P2, 0, 0u32.wrapping_sub(P1)];
        for stripe in stripes {
            let (words, _) = stripe.as_chunks::<4>();
            for (lane, word) in lanes.iter_mut().zip(words) {
                *lane = round(*lane, u32::from_le_bytes(*word));
            }
        }
        let [a, b, c, d] = lanes;
        hash = a
            .rotate_left(1)
            .wrapping_add(b.rotate_left(7))
            .wrapping_add(c.rotate_left(12))
            .wrapping_add(d.rotate_left(18));
    }
    hash = hash.wrapping_add(bytes.len() as u32);
    let (words, tail) = rest.as_chunks::<4>();
    for word in words {
        let word = u32::from_le_bytes(*word);
        hash = hash
            .wrapping_add(word.wrapping_mul(P3))
            .rotate_left(17)
            .wrapping_mul(P4);
    }
    for &byte in tail {
        hash = hash
            .wrapping_add(u32::from(byte).wrapping_mul(P5))
            .rotate_left(11)
            .wrapping_mul(P1);
    }
    hash = (hash ^ hash >> 15).wrapping_mul(P2);
    hash = (hash ^ hash >> 13).wrapping_mul(P3);
    hash ^ hash >> 16
}

fn round(lane: u32, word: u32) -> u32 {
    lane.wrapping_add(word.wrapping_mul(P2))
        .rotate_left(13)
        .wrapping_mul(P1)
}

#[cfg(test)]
mod tests {
    use super::xxh32;

    #[test]
    fn the_published_vectors_hold() {
        // The sanity buffer of the reference implementation: bytes of a 32-bit multiplicative
        // generator.
        let mut generator = 2_654_435_761u64;
        let buffer: Vec<u8> = (0..222)
            .map(|_| {
                let byte = (generator >> 56).to_le_bytes()[0];
                generator = generator.wrapping_mul(11_400_714_785_074_694_797);
                byte
            })
            .collect();
        let vectors = [
            (0, 0x02cc_5d05),
            (1, 0xcf65_b03e),
            (14, 0x1208_e7e2),
            (222, 0x5bd1_1dbd),
        ];
        for (len, hash) in vectors {
            assert_eq!(xxh32(&buffer[..len]), hash, "{len} bytes");
        }
        assert_eq!(xxh32(b"a"), 0x550d_7456);
        assert_eq!(
            xxh32(b"Nobody inspects the spammish repetition"),
            0xe229_3b2f
        );
    }
}
