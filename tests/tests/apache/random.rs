//! Random values of every type, from a seed.

use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;
use thrift_nats_runtime::{OrderedF64, OrderedFloat, Uuid};

use crate::types::{Choice, Colour, Empty, Everything, Point};

/// SplitMix64: short, and the same values on every machine.
pub(crate) struct Random(u64);

impl Random {
    pub(crate) const fn new(seed: u64) -> Self {
        Self(seed)
    }

    fn bits(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    fn below(&mut self, bound: u64) -> u64 {
        self.bits() % bound
    }

    fn one_of<T: Copy>(&mut self, choices: &[T]) -> T {
        choices[self.below(choices.len() as u64) as usize]
    }
}

/// A type with random values. `depth` is the depth of nesting.
pub(crate) trait Draw: Sized {
    fn draw(random: &mut Random, depth: u32) -> Self;
}

macro_rules! integers {
    ($($type:ty)*) => {$(
        impl Draw for $type {
            fn draw(random: &mut Random, _: u32) -> Self {
                if random.below(5) == 0 {
                    return random.one_of(&[0, 1, -1, Self::MIN, Self::MAX]);
                }
                // With a uniform number of bits, because uniform numbers are mostly long.
                let shift = random.below(Self::BITS.into());
                (random.bits() as Self) >> shift
            }
        }
    )*};
}

integers!(i8 i16 i32 i64);

impl Draw for bool {
    fn draw(random: &mut Random, _: u32) -> Self {
        random.below(2) == 0
    }
}

impl Draw for f64 {
    fn draw(random: &mut Random, _: u32) -> Self {
        if random.below(5) == 0 {
            let edges =
                [0.0, -0.0, 1.0, 0.1, Self::INFINITY, Self::NEG_INFINITY, Self::NAN, 5e-324, Self::MAX];
            return random.one_of(&edges);
        }
        let value = Self::from_bits(random.bits());
        // Text protocols have only one NaN.
        if value.is_nan() { Self::NAN } else { value }
    }
}

impl Draw for OrderedF64 {
    fn draw(random: &mut Random, depth: u32) -> Self {
        OrderedFloat(f64::draw(random, depth))
    }
}

impl Draw for String {
    fn draw(random: &mut Random, _: u32) -> Self {
        let alphabet: Vec<char> = "abc XYZ\"\\/\0\u{1}\u{1f}\n\t\u{7f}éß☃日\u{2028}𝄞😀".chars().collect();
        let len = random.one_of(&[0, 1, 5, 14, 15, 40, 200]);
        (0..len).map(|_| random.one_of(&alphabet)).collect()
    }
}

impl Draw for Bytes {
    fn draw(random: &mut Random, _: u32) -> Self {
        let len = random.one_of(&[0, 1, 2, 3, 70]);
        (0..len).map(|_| random.bits() as u8).collect()
    }
}

impl Draw for Uuid {
    fn draw(random: &mut Random, _: u32) -> Self {
        Self::from_u64_pair(random.bits(), random.bits())
    }
}

fn count(random: &mut Random, depth: u32) -> u64 {
    if depth < 2 { random.one_of(&[0, 1, 2, 14, 15, 16, 40]) } else { random.below(3) }
}

impl<T: Draw> Draw for Vec<T> {
    fn draw(random: &mut Random, depth: u32) -> Self {
        (0..count(random, depth)).map(|_| T::draw(random, depth + 1)).collect()
    }
}

impl<T: Draw + Ord> Draw for BTreeSet<T> {
    fn draw(random: &mut Random, depth: u32) -> Self {
        (0..count(random, depth)).map(|_| T::draw(random, depth + 1)).collect()
    }
}

impl<K: Draw + Ord, V: Draw> Draw for BTreeMap<K, V> {
    fn draw(random: &mut Random, depth: u32) -> Self {
        (0..count(random, depth)).map(|_| (K::draw(random, depth + 1), V::draw(random, depth + 1))).collect()
    }
}

impl<T: Draw> Draw for Box<T> {
    fn draw(random: &mut Random, depth: u32) -> Self {
        Self::new(T::draw(random, depth))
    }
}

/// An optional field. The deeper its struct, the rarer it is present.
impl<T: Draw> Draw for Option<T> {
    fn draw(random: &mut Random, depth: u32) -> Self {
        let share = if depth == 0 { 35 } else { 10 };
        (depth < 5 && random.below(100) < share).then(|| T::draw(random, depth))
    }
}

impl Draw for Colour {
    fn draw(random: &mut Random, depth: u32) -> Self {
        Self(i32::draw(random, depth))
    }
}

impl Draw for Empty {
    fn draw(_: &mut Random, _: u32) -> Self {
        Self {}
    }
}

impl Draw for Point {
    fn draw(random: &mut Random, depth: u32) -> Self {
        Self { x: Draw::draw(random, depth), label: Draw::draw(random, depth) }
    }
}

impl Draw for Choice {
    fn draw(random: &mut Random, depth: u32) -> Self {
        match random.below(4) {
            0 => Self::Number(Draw::draw(random, depth)),
            1 => Self::Text(Draw::draw(random, depth)),
            2 => Self::Point(Draw::draw(random, depth)),
            _ => Self::Flags(Draw::draw(random, depth)),
        }
    }
}

/// Draws the fields of a struct. Boxed fields are one level deeper.
macro_rules! draw_fields {
    ($random:ident, $depth:ident, $($field:ident)*) => {
        Everything { $($field: Draw::draw($random, $depth),)* again: Box::draw_inside($random, $depth) }
    };
}

/// The recursive field.
trait DrawInside: Sized {
    fn draw_inside(random: &mut Random, depth: u32) -> Option<Self>;
}

impl<T: Draw> DrawInside for Box<T> {
    fn draw_inside(random: &mut Random, depth: u32) -> Option<Self> {
        (depth < 5 && random.below(4) == 0).then(|| Self::draw(random, depth + 1))
    }
}

impl Draw for Everything {
    fn draw(random: &mut Random, depth: u32) -> Self {
        draw_fields!(random, depth,
            flag tiny small medium large real text bytes id colour point choice empty other_flag
            bools tinies smalls mediums larges reals texts blocks ids points lists maps choices colours
            bool_set medium_set text_set real_set id_set
            by_text by_medium by_flag by_real by_id by_large by_point by_tiny by_colour
            gap_14 gap_15 gap_16 gap_17 far farthest)
    }
}
