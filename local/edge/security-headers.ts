import * as z from 'zod'

const override = { Override: z.literal(true) }

/** A response headers policy as far as it is imitated: security headers that replace the origin's own. */
export const ResponseHeadersPolicySchema = z.object({
  ResponseHeadersPolicyConfig: z.strictObject({
    Name: z.string(),
    Comment: z.string().optional(),
    SecurityHeadersConfig: z.strictObject({
      ContentSecurityPolicy: z.strictObject({ ...override, ContentSecurityPolicy: z.string() }).optional(),
      ContentTypeOptions: z.strictObject(override).optional(),
      FrameOptions: z.strictObject({ ...override, FrameOption: z.string() }).optional(),
      ReferrerPolicy: z.strictObject({ ...override, ReferrerPolicy: z.string() }).optional(),
      StrictTransportSecurity: z
        .strictObject({
          ...override,
          AccessControlMaxAgeSec: z.number(),
          IncludeSubdomains: z.boolean().default(false),
          Preload: z.boolean().default(false),
        })
        .optional(),
    }),
  }),
})

/** The headers that a policy sets ("Understand response headers policies"). */
export function securityHeaders({
  ResponseHeadersPolicyConfig: { SecurityHeadersConfig: config },
}: z.output<typeof ResponseHeadersPolicySchema>): Readonly<Record<string, string>> {
  const transport = config.StrictTransportSecurity
  return {
    ...(config.ContentSecurityPolicy && {
      'content-security-policy': config.ContentSecurityPolicy.ContentSecurityPolicy,
    }),
    ...(config.ContentTypeOptions && { 'x-content-type-options': 'nosniff' }),
    ...(config.FrameOptions && { 'x-frame-options': config.FrameOptions.FrameOption }),
    ...(config.ReferrerPolicy && { 'referrer-policy': config.ReferrerPolicy.ReferrerPolicy }),
    ...(transport && {
      'strict-transport-security': [
        `max-age=${transport.AccessControlMaxAgeSec}`,
        ...(transport.IncludeSubdomains ? ['includeSubDomains'] : []),
        ...(transport.Preload ? ['preload'] : []),
      ].join('; '),
    }),
  }
}
