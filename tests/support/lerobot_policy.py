"""A real policy class of lerobot, tiny, with random weights."""


def tiny_policy(size=96):
    """ACT on one camera of `size` pixels and a state of two numbers, answering two numbers; no weights are downloaded."""
    import torch
    from lerobot.configs.types import FeatureType, PolicyFeature
    from lerobot.policies.act.configuration_act import ACTConfig
    from lerobot.policies.act.modeling_act import ACTPolicy

    config = ACTConfig(
        input_features={
            "observation.image": PolicyFeature(type=FeatureType.VISUAL, shape=(3, size, size)),
            "observation.state": PolicyFeature(type=FeatureType.STATE, shape=(2,)),
        },
        output_features={"action": PolicyFeature(type=FeatureType.ACTION, shape=(2,))},
        chunk_size=4,
        n_action_steps=2,
        dim_model=16,
        n_heads=2,
        dim_feedforward=32,
        n_encoder_layers=1,
        n_decoder_layers=1,
        use_vae=False,
        vision_backbone="resnet18",
        pretrained_backbone_weights=None,
        device="cpu",
    )
    torch.manual_seed(0)
    return ACTPolicy(config).eval()
