import Egress
import Functions

extension Egress {
    /// The process's one way out to addresses that organisations give.
    static func shared(_ services: Services, allowing allowed: String?) throws(EgressFault) -> Egress {
        let policy = try EgressPolicy(allowed: allowed ?? "")
        return services.shared(Egress.self) { Egress(policy, logger: services.logger) }
    }

    /// Reports a `url` that could never be reached: an address that is written out and not public. Names are looked at when they
    /// are used, since they may point elsewhere by then.
    static func check(_ body: JSON, allowing allowed: String?, into check: inout FieldCheck) throws {
        let policy = try EgressPolicy(allowed: allowed ?? "")
        guard check.isFine("/url"), let url = body["url"]?.string, policy.refuses(url) else { return }
        check.report("/url", "must be at a public address, without a user or password")
    }
}
