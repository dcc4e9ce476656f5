import Foundation
import Functions
import Security

/// A place among an organisation's events in commit order: everything up to it has been told.
///
/// The order is `(xid, id)` below the oldest transaction that still runs: a bare sequence would skip rows that commit late.
struct EventPosition: Sendable, Hashable, Comparable {
    let xid: UInt64
    let id: Int64

    static func < (one: EventPosition, other: EventPosition) -> Bool {
        (one.xid, one.id) < (other.xid, other.id)
    }

    /// The opaque form in which callers get it, signed for one organisation. `at` is when it was current, in seconds since
    /// 1970, which tells later whether what follows is still there.
    func token(at: Int64, for organisation: Organisation.ID, key: [UInt8]) -> String {
        let payload = Array("\(xid).\(id).\(at)".utf8)
        return Base64.url.encode(Self.signature(payload, organisation, key) + payload)
    }

    /// The position and its time in a token, or `nil` for one that we didn't make for this organisation.
    static func read(
        _ token: String,
        for organisation: Organisation.ID,
        key: [UInt8]
    ) -> (position: EventPosition, at: Int64)? {
        guard let bytes = Base64.url.decode(token), bytes.count > signatureLength else { return nil }
        let payload = Array(bytes.dropFirst(signatureLength))
        let expected = signature(payload, organisation, key)
        guard constantTimeEquals(Array(bytes.prefix(signatureLength)), expected) else { return nil }
        let parts = String(decoding: payload, as: UTF8.self).split(separator: ".")
        guard parts.count == 3, let xid = UInt64(parts[0]), let id = Int64(parts[1]), let at = Int64(parts[2]) else {
            return nil
        }
        return (EventPosition(xid: xid, id: id), at)
    }

    private static let signatureLength = 12

    private static func signature(_ payload: [UInt8], _ organisation: Organisation.ID, _ key: [UInt8]) -> [UInt8] {
        let message = Array("event\u{0}\(organisation)\u{0}".utf8) + payload
        return Array(HMAC.sha256(key: key, message: message).prefix(signatureLength))
    }
}
