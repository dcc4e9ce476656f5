/// Which addresses requests of ours may go to: the public ones, and those that the operator names.
///
/// What organisations give as an address is their word against our network: nothing of theirs may reach a machine that only
/// we can reach.
package struct EgressPolicy: Sendable {
    private let allowed: [AddressRange]

    /// - Parameter allowed: ranges with commas, such as `127.0.0.0/8, ::1`; empty allows public addresses alone.
    /// - Throws: ``EgressFault/unreadableRange(_:)``.
    package init(allowed: String) throws(EgressFault) {
        var ranges: [AddressRange] = []
        for part in allowed.split(whereSeparator: { $0 == "," || $0.isWhitespace }) {
            guard let range = AddressRange(part) else { throw EgressFault.unreadableRange(String(part)) }
            ranges.append(range)
        }
        self.allowed = ranges
    }

    package func allows(_ address: IPAddress) -> Bool {
        if allowed.contains(where: { $0.contains(address) }) { return true }
        if address.bytes.count == 16 {
            // Only global unicast is routed at all; the rest of IPv6 is loopback, link-local, private, multicast or mapped.
            guard Self.globalUnicast.contains(where: { $0.contains(address) }) else { return false }
        }
        return !Self.special.contains { $0.contains(address) }
    }

    /// Whether a URL could never be asked: it is no http address, holds a user, or is at an address that isn't allowed.
    package func refuses(_ text: String) -> Bool {
        guard let target = EgressTarget(text) else { return true }
        return IPAddress(target.host).map { !allows($0) } ?? false
    }

    private static let globalUnicast = ranges("2000::/3")

    /// By IANA's registries of special-purpose addresses: none of these is a public host of its own.
    private static let special = ranges(
        "0.0.0.0/8",
        "10.0.0.0/8",
        "100.64.0.0/10",
        "127.0.0.0/8",
        "169.254.0.0/16",
        "172.16.0.0/12",
        "192.0.0.0/24",
        "192.0.2.0/24",
        "192.88.99.0/24",
        "192.168.0.0/16",
        "198.18.0.0/15",
        "198.51.100.0/24",
        "203.0.113.0/24",
        "224.0.0.0/4",
        "240.0.0.0/4",
        "2001::/23",
        "2001:db8::/32",
        "2002::/16",
        "3fff::/20"
    )

    private static func ranges(_ texts: String...) -> [AddressRange] { texts.compactMap { AddressRange($0) } }
}

/// Why a request didn't get its answer.
package enum EgressFault: Error, Sendable, Equatable, CustomStringConvertible {
    /// EGRESS_ALLOW has something that is neither an address nor a range.
    case unreadableRange(String)
    case invalidAddress(String)
    case unknownHost(String)
    /// The host is at an address that requests may not go to.
    case refused(String)
    case unreachable(String)
    case timeout
    /// In bytes, how much it might have been.
    case tooLarge(Int)
    case tooManyRedirects(String)

    package var description: String {
        switch self {
        case .unreadableRange(let text): "\"\(text)\" is neither an address nor a range such as 10.0.0.0/8"
        case .invalidAddress(let text): "\(text) is not an http or https address"
        case .unknownHost(let host): "\(host) has no address"
        case .refused(let host): "\(host) is not at a public address"
        case .unreachable(let reason): "the connection failed: \(reason)"
        case .timeout: "there was no answer in time"
        case .tooLarge(let limit): "it is larger than \(limit) bytes"
        case .tooManyRedirects(let text): "it leads on and on, at last to \(text)"
        }
    }
}
