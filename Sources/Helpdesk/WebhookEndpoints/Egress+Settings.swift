import Egress
import Functions

extension Egress {
    /// The process's one way out to addresses that organisations give.
    static func shared(_ services: Services, allowing allowed: String?) throws(EgressFault) -> Egress {
        let policy = try EgressPolicy(allowed: allowed ?? "")
        return services.shared(Egress.self) { Egress(policy, logger: services.logger) }
    }

    /// Refuses what could never be reached: addresses that are written out and not public. Names are looked at when they are
    /// used, since they may point elsewhere by then.
    static func check(_ url: String, allowing allowed: String?) throws -> Failure.Fault? {
        let policy = try EgressPolicy(allowed: allowed ?? "")
        return policy.refuses(url)
            ? .init(.body("/url"), "must be at a public address, without a user or password") : nil
    }
}
