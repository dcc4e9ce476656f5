import Foundation
import Functions
import Postgres
import Security

/// Founds an organisation with its first admin, who is logged in at once.
///
/// `sign-up` in functions.yaml: `POST /auth/signup`, public. All of it is there or none; of two sign-ups with one e-mail
/// address, in any case, the database lets one through.
///
/// - Throws: ``Failure/conflict(_:)`` when the e-mail address has a user, in whichever organisation;
///   ``Failure/tooMany(_:retryAfter:)`` after too many sign-ups from one address.
struct SignUp: HTTPFunction {
    struct Input: Decodable, Sendable {
        let organisationName: String
        let name: String
        let email: String
        let password: String
    }

    static let input = Shape<Input>(
        body: .json([
            .required("organisationName", .text(1...200, .name), example: "Acme Support"),
            .required("name", .text(1...200, .name), doc: "the admin's", example: "Jane Doe"),
            .required("email", .email),
            .required("password", .text(8...128, .opaque), example: "correct horse battery staple"),
        ])
    )

    static let output: OutputDeclaration = .object(
        Record(
            "SignedUp",
            [
                .init("organisation", .object(Organisation.record.columns)),
                .init("user", .object(User.record.columns)),
            ] + SessionTokens.columns
        ),
        status: 201
    )

    func handle(_ input: Input, in context: HTTPContext) async throws -> Answer {
        try await context.signUpLimit().count()
        let hash = try await context.services.passwords.hash(input.password)
        let organisation = Organisation.ID()
        let user = User.ID()
        let tokens = try SessionTokens(in: context)
        do {
            return try await context.opening(organisation, actor: .user(user.uuid)).transaction { transaction in
                let rows = try await transaction.run(
                    [
                        """
                        INSERT INTO organisations AS o (id, name, slug)
                        VALUES (\(organisation), \(input.organisationName),
                                \(Organisation.slug(of: input.organisationName, id: organisation)))
                        RETURNING \(raw: Organisation.record.selectList)
                        """,
                        """
                        INSERT INTO users AS u (org_id, id, email, name, role, password_hash)
                        VALUES (\(organisation), \(user), \(input.email), \(input.name), 'admin', \(hash))
                        RETURNING \(raw: User.record.selectList)
                        """,
                    ] + tokens.opening(organisation, user) + [transaction.auditing("auth.signup", user.uuid)]
                )
                return Answer.object(status: 201) {
                    $0.name("organisation")
                    Organisation.record.write(rows[0], row: 0, into: &$0)
                    $0.name("user")
                    User.record.write(rows[1], row: 0, into: &$0)
                    tokens.write(for: user, of: organisation, role: "admin", in: context, into: &$0)
                }
            }
        } catch let error as PostgresError where error.constraint == "email_directory_pkey" {
            throw Failure.conflict("This e-mail address is taken.")
        }
    }
}
