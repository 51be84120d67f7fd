# Copyright: (c) 2026, the agnostic.recovery developers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""How tasks name a repository and its key."""


class ModuleDocFragment:

    DOCUMENTATION = r"""
options:
  repository:
    description: The repository, as the host that runs the task reaches it.
    type: dict
    required: true
    suboptions:
      type:
        description:
          - What kind of object store it is in.
          - V(s3) is any server that speaks S3; the host that runs the task needs boto3.
          - V(swift) is OpenStack Swift, or another server with its API; the host needs openstacksdk.
        type: str
        choices: [directory, s3, swift]
        default: directory
      path:
        description: The folder of a V(directory) repository, an absolute path on the host; may be on NFS.
        type: path
      bucket:
        description: The bucket of an V(s3) repository.
        type: str
        version_added: 1.1.0
      endpoint_url:
        description: URL of an S3 server. By default AWS.
        type: str
        version_added: 1.1.0
      addressing_style:
        description:
          - Whether the bucket stands in the V(path) or is a V(virtual) host.
          - V(auto) is V(path) with O(repository.endpoint_url) and what boto3 chooses without.
        type: str
        choices: [auto, path, virtual]
        default: auto
        version_added: 1.1.0
      access_key:
        description:
          - The S3 access key.
          - Without it the host's own credentials are used, in boto3's order - environment, C(~/.aws), role of the machine.
        type: str
        version_added: 1.1.0
      secret_key:
        description: The secret of O(repository.access_key).
        type: str
        version_added: 1.1.0
      session_token:
        description: The token that belongs to temporary S3 credentials.
        type: str
        version_added: 1.1.0
      container:
        description: The container of a V(swift) repository.
        type: str
        version_added: 1.1.0
      cloud:
        description: An entry of the host's C(clouds.yaml), in place of O(repository.auth).
        type: str
        version_added: 1.1.0
      auth:
        description:
          - How to sign in to OpenStack, as C(auth) in C(clouds.yaml).
          - Without it O(repository.cloud) counts, or the OS_ variables of the host's environment.
        type: dict
        version_added: 1.1.0
        suboptions:
          auth_url:
            description: URL of Keystone, or, with O(repository.auth_type=v1), of the server's own sign-in.
            type: str
          username:
            description: Name of the user.
            type: str
          user_id:
            description: Id of the user, in place of the name.
            type: str
          user_domain_name:
            description: Domain of the user.
            type: str
          user_domain_id:
            description: Id of the user's domain.
            type: str
          password:
            description: Password of the user.
            type: str
          project_name:
            description: Name of the project.
            type: str
          project_id:
            description: Id of the project, in place of the name.
            type: str
          project_domain_name:
            description: Domain of the project.
            type: str
          project_domain_id:
            description: Id of the project's domain.
            type: str
          application_credential_id:
            description: Id of an application credential.
            type: str
          application_credential_name:
            description: Name of an application credential of the user, in place of its id.
            type: str
          application_credential_secret:
            description: Secret of the application credential.
            type: str
      auth_type:
        description:
          - The way of signing in, as C(auth_type) in C(clouds.yaml). V(v3applicationcredential) goes with an application credential.
          - V(v1) is TempAuth, the way of Swift and Ceph without Keystone.
          - By default V(password).
        type: str
        version_added: 1.1.0
      interface:
        description: Which of the URLs in OpenStack's catalogue is used.
        type: str
        choices: [public, internal, admin]
        default: public
        version_added: 1.1.0
      prefix:
        description: Where in the bucket or container the repository is, such as V(backup/site1). By default all of it is the repository.
        type: str
        version_added: 1.1.0
      region:
        description: The region of the bucket or of the OpenStack cloud.
        type: str
        version_added: 1.1.0
      ca_bundle:
        description: A file on the host with the certificate authority of the server (PEM). By default those that the host's Python trusts.
        type: path
        version_added: 1.1.0
      create:
        description: Whether M(agnostic.recovery.repository_init) makes the bucket or container when there is none.
        type: bool
        default: false
        version_added: 1.1.0
      connect_timeout:
        description: Seconds to wait for a connection to the server.
        type: float
        default: 10.0
        version_added: 1.1.0
      read_timeout:
        description: Seconds to wait for more of an answer.
        type: float
        default: 60.0
        version_added: 1.1.0
      retry_seconds:
        description: For how many seconds a request that fails in a way that may pass is repeated.
        type: float
        default: 300.0
        version_added: 1.1.0
  passphrase:
    description:
      - A passphrase that opens the repository, for reading and writing.
      - For an unencrypted repository give neither this nor any other key.
    type: str
  passphrase_command:
    description:
      - A program with its arguments that prints the passphrase, such as V([pass, show, recovery]). It is run on the host, without a
        shell, and has a minute to end.
    type: list
    elements: str
    version_added: 1.1.0
  key_file:
    description: A key file that opens the repository, for reading and writing; a path on the host.
    type: path
  recovery_key:
    description:
      - The key of a recovery kit as it is printed, see M(agnostic.recovery.recovery_kit). Case, spaces and line breaks do not
        matter; a typing error is told with its line.
    type: str
    version_added: 1.1.0
  key_command:
    description:
      - A program with its arguments that unwraps the secret of a command slot, as a key service or token does. It is run on the
        host, without a shell, and has a minute to end. What was wrapped is given on standard input, the
        secret is expected on standard output.
      - See M(agnostic.recovery.repository_key) for how such a slot is made.
    type: list
    elements: str
    version_added: 1.1.0
"""

    CAPTURE_CREDENTIAL = r"""
options:
  capture_credential:
    description:
      - The text that O(agnostic.recovery.repository_init#module:capture_credential_file) holds. It opens the repository for writing only,
        so a source that knows nothing else cannot read any image.
    type: str
"""

    TARGET = r"""
options:
  target:
    description: The place of the replica. It is written as O(repository) is, with the same suboptions.
    type: dict
    required: true
"""
