package import Foundation
import Synchronization

extension UUID {
    /// A new UUIDv7 (RFC 9562, section 5.7), greater than every earlier one of this process.
    ///
    /// Ids of different processes order by millisecond only.
    package static func v7(now: Date = Date()) -> UUID {
        generator.next(now: now)
    }

    private static let generator = UUIDv7Generator()
}

/// Makes UUIDs that rise: milliseconds, then a counter in `rand_a`, then 62 random bits.
///
/// The counter (RFC 9562, section 6.2, method 1) starts each millisecond at a random value below 2048, so at least 2048
/// ids fit before it runs over; then, and when the clock goes back, the time of the last id counts on.
final class UUIDv7Generator: Sendable {
    private struct Last {
        var milliseconds: UInt64 = 0
        var counter: UInt64 = 0
    }

    private let last = Mutex(Last())

    func next(now: Date) -> UUID {
        var generator = SystemRandomNumberGenerator()
        let random = generator.next()
        let clock = UInt64(max(0, now.timeIntervalSince1970 * 1000))
        let (milliseconds, counter) = last.withLock { last in
            if clock > last.milliseconds {
                last = Last(milliseconds: clock, counter: generator.next() & 0x7ff)
            } else if last.counter < 0xfff {
                last.counter += 1
            } else {
                last = Last(milliseconds: last.milliseconds + 1, counter: generator.next() & 0x7ff)
            }
            return (last.milliseconds, last.counter)
        }
        return UUID(
            high: milliseconds << 16 | 0x7000 | counter,
            low: 0x8000_0000_0000_0000 | random >> 2
        )
    }
}

extension UUID {
    init(high: UInt64, low: UInt64) {
        func byte(_ word: UInt64, _ index: UInt64) -> UInt8 { UInt8(truncatingIfNeeded: word >> (56 - 8 * index)) }
        self.init(
            uuid: (
                byte(high, 0), byte(high, 1), byte(high, 2), byte(high, 3),
                byte(high, 4), byte(high, 5), byte(high, 6), byte(high, 7),
                byte(low, 0), byte(low, 1), byte(low, 2), byte(low, 3),
                byte(low, 4), byte(low, 5), byte(low, 6), byte(low, 7)
            )
        )
    }

    /// Reads the 36 ASCII characters of a UUID in either case; several times faster than `UUID(uuidString:)`.
    init?(ascii text: ArraySlice<UInt8>) {
        guard text.count == 36 else { return nil }
        var words: (high: UInt64, low: UInt64) = (0, 0)
        var digits = 0
        for (offset, character) in text.enumerated() {
            if offset == 8 || offset == 13 || offset == 18 || offset == 23 {
                guard character == UInt8(ascii: "-") else { return nil }
                continue
            }
            guard let digit = hexValue(character) else { return nil }
            if digits < 16 {
                words.high = words.high << 4 | UInt64(digit)
            } else {
                words.low = words.low << 4 | UInt64(digit)
            }
            digits += 1
        }
        self.init(high: words.high, low: words.low)
    }
}
