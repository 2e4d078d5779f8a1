"""Alibaba Cloud OSS as a `Store`.

From the outside in: `store` is the interface, `upload` and `download` move bodies whole and verified,
`client` makes one request and repeats it by `retry`, `failures` says what an error means, `credentials` and
`address` say who asks and where. Only `client` and what is above it import oss2, which users of folders need
not have.
"""
