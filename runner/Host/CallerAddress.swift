import Foundation

/// Finds out who calls where requests come through proxies.
///
/// Only proxies that the operator names are believed: `X-Forwarded-For` is read from its end, past every trusted address,
/// and the first one that isn't trusted is the caller. What stands further left anybody could have written.
package struct CallerAddress: Sendable {
    private let trusted: [AddressRange]

    /// - Parameter proxies: addresses and CIDR ranges with commas (`TRUSTED_PROXIES`).
    /// - Throws: ``AddressFault`` naming what is neither.
    package init(proxies: String?) throws(AddressFault) {
        var ranges: [AddressRange] = []
        for part in (proxies ?? "").split(separator: ",") {
            let text = part.trimmingCharacters(in: .whitespaces)
            guard let range = AddressRange(text) else { throw AddressFault(text: text) }
            ranges.append(range)
        }
        trusted = ranges
    }

    /// The caller's address.
    ///
    /// - Parameters:
    ///   - peer: who holds the connection; `nil` on a unix socket, by which only a gateway of ours comes.
    ///   - forwarded: the values of `X-Forwarded-For`, in their order.
    /// - Returns: `peer` itself unless it is trusted.
    package func find(peer: String?, forwarded: [String]) -> String? {
        guard peer.map(isTrusted) ?? true else { return peer }
        var caller = peer
        for hop in forwarded.flatMap({ $0.split(separator: ",") }).reversed() {
            let address = hop.trimmingCharacters(in: .whitespaces)
            guard AddressRange.bytes(address) != nil else { return caller }
            caller = address
            if !isTrusted(address) { return caller }
        }
        return caller
    }

    package func isTrusted(_ address: String) -> Bool {
        guard let bytes = AddressRange.bytes(address) else { return false }
        return trusted.contains { $0.contains(bytes) }
    }
}

/// Something in a list of addresses that is none.
package struct AddressFault: Error, CustomStringConvertible {
    let text: String
    package var description: String { "TRUSTED_PROXIES holds \"\(text)\", which is no address and no CIDR range" }
}

/// One address, or a range such as `10.0.0.0/8` or `fd00::/8`.
struct AddressRange: Sendable {
    private let network: [UInt8]
    private let bits: Int

    init?(_ text: String) {
        let parts = text.split(separator: "/", omittingEmptySubsequences: false)
        guard let first = parts.first, parts.count <= 2, let network = Self.bytes(String(first)) else { return nil }
        let most = network.count * 8
        let bits = parts.count == 2 ? Int(parts[1]) : most
        guard let bits, (0...most).contains(bits) else { return nil }
        self.network = network
        self.bits = bits
    }

    func contains(_ address: [UInt8]) -> Bool {
        guard address.count == network.count else { return false }
        for (index, byte) in network.enumerated() {
            let left = bits - index * 8
            guard left > 0 else { return true }
            let mask: UInt8 = left >= 8 ? 0xFF : ~(0xFF >> UInt8(left))
            guard byte & mask == address[index] & mask else { return false }
        }
        return true
    }

    /// 4 or 16 bytes; an IPv4 address inside IPv6 (`::ffff:10.0.0.1`) is its 4.
    static func bytes(_ text: String) -> [UInt8]? {
        var four = in_addr()
        if inet_pton(AF_INET, text, &four) == 1 { return withUnsafeBytes(of: &four) { Array($0) } }
        var sixteen = in6_addr()
        guard inet_pton(AF_INET6, text, &sixteen) == 1 else { return nil }
        let bytes = withUnsafeBytes(of: &sixteen) { Array($0) }
        let isMapped = bytes.prefix(10).allSatisfy { $0 == 0 } && bytes[10] == 0xFF && bytes[11] == 0xFF
        return isMapped ? Array(bytes[12...]) : bytes
    }
}
